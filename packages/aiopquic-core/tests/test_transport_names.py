"""The low-level API's names: what programs import and call is there, and tells the truth."""

from __future__ import annotations

import gc
import inspect
import io
import re
import socket
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiopquic._addresses import has_ipv6
from aiopquic._binding import _transport
from aiopquic._binding._transport import (
    DEFAULT_KEY_EXCHANGE_GROUPS,
    TransportContext,
    check_congestion_control_algorithm,
    dump_all_counters,
    tx_data_bytes_queued,
)
from aiopquic.exceptions import ConfigurationError, StreamClosedError
from aiopquic.qlog import load
from aiopquic.testing.certificates import dev_certificate

from .transport_pair import APP_CLOSE, DATA, FIN, READY, TX_DRAINED, Pair

VERSION_2 = 0x6B3343CF
DESTROY = 17


def words(text: str) -> list[str]:
    return text.split()


MEMBERS = words("""
    start stop started thread_ready eventfd port wake_up drain_rx drain_rx_callback release_batch rx_count
    rx_event_ring_count push_tx push_tx_event create_client_connection close_connection counters stream_counters
    dump_counters tx_send_atomic tx_send_stream tx_data_ring_used tx_data_ring_sent set_tx_data_drain_pending
    clear_tx_data_drain_pending tx_event_ring_count tx_event_ring_capacity tx_event_ring_drain_event
    arm_tx_event_ring_drain_pending clear_tx_event_ring_drain_pending session_resumed get_negotiated_alpn
    transport_parameters connection_ids peer_address local_address path_quality cnx_data_counters
    dgram_ring_create dgram_ring_release dgram_mark_ready dgram_send dgram_push dgram_ring_stats
    datagram_payload_ceiling
    set_stream_priority set_default_stream_priority send_calls send_busy_event_ring send_busy_stream_ring
    send_alloc_fail
""")

MODULE = words("""
    TransportContext StreamChunk RingBuffer tx_data_bytes_queued check_congestion_control_algorithm
    dump_all_counters KEX_X25519 KEX_SECP256R1 KEX_X25519MLKEM768 KEX_SECP256R1MLKEM768 KEX_MLKEM1024
    DEFAULT_KEY_EXCHANGE_GROUPS
""")

START = words("""
    port cert_file key_file alpn is_client idle_timeout_ms max_datagram_frame_size wt_path debug_log
    keylog_filename congestion_control_algorithm rx_ring_cap rx_data_ring_cap initial_max_data
    initial_max_streams_uni initial_max_streams_bidi keep_alive_interval_ms socket_buffer_size qlog_dir
    wt_supported_protocols alpn_list dual verify_peer ca_file key_exchange_groups max_connections retry
    cipher_suite key_update_interval ticket_file web_folder ip_family pmtud_policy
""")

COUNTERS = words("""
    rx_notify_pending_now rx_event_ring_count_now rx_overflow_depth_now rx_overflow_max_depth rx_overflow_pushed
    rx_event_drops tx_event_ring_count_now loop_callbacks wake_calls wake_skipped_coalesced set_priority_applied
    set_priority_rejected tx_data_bytes_queued
""")


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    certificate, key = dev_certificate().write(tmp_path)
    return str(certificate), str(key)


@pytest.fixture
def pair(files: tuple[str, str]) -> Iterator[Pair]:
    result = Pair(files)
    yield result
    result.stop()
    del result.client, result.server  # pytest keeps the pair itself until after the leak check


def test_every_name_is_there() -> None:
    """Members, functions, constants, and the keywords of start() in their order."""
    assert [name for name in MEMBERS if not hasattr(TransportContext, name)] == []
    assert [name for name in MODULE if not hasattr(_transport, name)] == []
    parameters = list(inspect.signature(TransportContext.start).parameters)
    assert set(START) <= set(parameters)
    assert parameters[1:12] == START[:11]
    assert list(inspect.signature(TransportContext).parameters) == [
        "ring_capacity",
        "tx_ring_cap",
        "rx_data_ring_cap",
        "tx_event_ring_low_water_pct",
    ]
    assert DEFAULT_KEY_EXCHANGE_GROUPS == (29, 23, 4588, 4587, 514)


def test_before_start() -> None:
    """Every question has an answer, and nothing needs to run."""
    context = TransportContext()
    assert (context.started, context.thread_ready, context.eventfd, context.port) == (False, False, -1, 0)
    assert (context.drain_rx(), context.drain_rx_callback(print)) == ([], 0)
    assert (context.rx_event_ring_count, context.rx_count, context.tx_event_ring_count) == (0, 0, 0)
    assert set(COUNTERS) <= set(context.counters)
    assert set(context.counters.values()) <= {0, context.counters["chunks_alive_total"]}
    assert context.tx_event_ring_drain_event.is_set()
    assert not context.arm_tx_event_ring_drain_pending()
    context.set_tx_data_drain_pending(5)
    context.clear_tx_data_drain_pending(5)
    context.clear_tx_event_ring_drain_pending()
    context.release_batch()
    context.wake_up()
    context.stop()


def unknown(context: TransportContext, handle: int) -> None:
    """What is answered for a handle that stands for nothing."""
    assert context.peer_address(handle) is None
    assert context.local_address(handle) is None
    assert context.get_negotiated_alpn(handle) is None
    assert context.session_resumed(handle) is False
    assert context.transport_parameters(handle) == {}
    assert context.connection_ids(handle) == {}
    assert context.path_quality(handle) == {}
    assert context.cnx_data_counters(handle) == (0, 0)
    assert context.stream_counters(handle) == {}
    assert (context.tx_data_ring_used(handle), context.tx_data_ring_sent(handle)) == (0, 0)


def test_what_is_known_of_a_connection(pair: Pair) -> None:
    """Addresses, ALPN, ids and parameters agree between the two ends; after the close nothing is known."""
    unknown(pair.client, pair.handle)
    other = pair.connected()
    client, server = pair.client, pair.server
    assert client.peer_address(pair.handle) == ("127.0.0.1", server.port)
    assert server.peer_address(other) == ("127.0.0.1", client.port)
    assert server.local_address(other) == ("127.0.0.1", server.port)
    assert client.get_negotiated_alpn(pair.handle) == server.get_negotiated_alpn(other) == "moq-00"
    assert client.session_resumed(pair.handle) is False
    assert client.transport_parameters(pair.handle) == server.transport_parameters(other, local=True)
    assert client.connection_ids(pair.handle)["remote"] == server.connection_ids(other)["local"]
    client.tx_send_stream(pair.handle, 0, b"x" * 5000, True)
    pair.until(lambda: any(event[0] == FIN for event in pair.server_events))
    pair.until(lambda: client.cnx_data_counters(pair.handle)[0] >= 5000)
    assert client.path_quality(pair.handle)["rtt"] > 0
    client.close_connection(pair.handle)
    pair.until(lambda: bool(pair.of(pair.client_events, APP_CLOSE) and pair.of(pair.server_events, APP_CLOSE)))
    unknown(client, pair.handle)
    unknown(server, other)


def test_room_is_told_once_it_is_there(files: tuple[str, str]) -> None:
    """BufferError arms the event of the stream; tx_send_atomic answers with numbers (lost wake-ups)."""
    pair = Pair(files, stream_ring_cap=1 << 16)
    pair.connected()
    handle = pair.client.tx_send_stream(pair.handle, 0, bytes(1 << 16))
    assert pair.client.tx_send_atomic(0, bytes(1 << 16), False, pair.handle) == 1
    assert pair.client.send_busy_stream_ring == 1
    pair.until(lambda: bool(pair.of(pair.client_events, TX_DRAINED)))
    assert pair.of(pair.client_events, TX_DRAINED) == [(TX_DRAINED, 0, None, False, 0, pair.handle, handle, handle)]
    assert pair.client.tx_data_ring_used(handle) <= 1 << 15
    pair.until(lambda: pair.client.tx_send_atomic(0, b"the rest", True, pair.handle) == 0)
    assert pair.client.tx_send_atomic(0, b"more", False, pair.handle) == -1
    assert pair.client.tx_send_atomic(0, b"more", False, 12345) == -1
    pair.until(lambda: any(event[0] == FIN for event in pair.server_events))
    assert sum(len(event[2]) for event in pair.server_events if event[0] in (DATA, FIN)) == (1 << 16) + 8
    assert pair.client.send_calls >= 4
    pair.stop()


def test_a_wish_for_room_is_answered_at_once_or_taken_back(pair: Pair) -> None:
    pair.connected()
    handle = pair.client.tx_send_stream(pair.handle, 0, b"x")
    pair.client.set_tx_data_drain_pending(handle)
    assert [event[0] for event in pair.client.drain_rx() if event[0] == TX_DRAINED] == [TX_DRAINED]
    pair.client.clear_tx_data_drain_pending(handle)
    pair.until(lambda: pair.client.tx_data_ring_sent(handle) == 1)
    assert pair.client.stream_counters(handle) == {"queued": 0, "sent": 1}


@pytest.mark.threaded
def test_commands_are_bounded_when_asked(files: tuple[str, str]) -> None:
    """A full ring is a BufferError, is counted, and tells when there is room again."""
    pair = Pair(files, ring_capacity=1)
    pair.connected()
    priorities: set[int] = set()
    sends: set[int] = set()

    def is_overrun() -> bool:
        for number in range(200):
            priorities.add(pair.client.set_stream_priority(pair.handle, 0, number))
            sends.add(pair.client.tx_send_atomic(4 * number + 4, b"x", False, pair.handle))
        return {0, 1} <= priorities and {0, 2} <= sends

    pair.until(is_overrun)
    pair.client.tx_event_ring_drain_event.clear()
    if pair.client.arm_tx_event_ring_drain_pending():
        assert pair.client.counters["tx_event_ring_drain_pending_now"] == 1
    pair.until(pair.client.tx_event_ring_drain_event.is_set)
    counters = pair.client.counters
    assert pair.client.tx_event_ring_capacity == 1
    assert counters["set_priority_applied"] > 0 < counters["set_priority_rejected"]
    assert counters["send_busy_event_ring"] == pair.client.send_busy_event_ring > 0
    assert pair.client.send_alloc_fail == 0
    pair.stop()


def test_priorities(pair: Pair) -> None:
    """For one stream, and for every stream to come."""
    pair.connected()
    assert pair.client.set_stream_priority(pair.handle, 0, 3) == 0
    pair.client.set_default_stream_priority(200)
    pair.client.tx_send_stream(pair.handle, 4, b"x")
    for call in (
        lambda: pair.client.set_stream_priority(pair.handle, 0, 256),
        lambda: pair.client.set_default_stream_priority(-1),
    ):
        with pytest.raises(ValueError, match="0 to 255"):
            call()
    with pytest.raises(StreamClosedError):
        pair.client.set_stream_priority(99, 0, 1)


def test_events_by_callback(pair: Pair) -> None:
    """An exception of the handler costs the event that it was called with, and no other."""
    pair.connected()
    for stream_id in (0, 4, 8):
        pair.client.tx_send_stream(pair.handle, stream_id, b"x", True)
    got: list[Any] = []

    def handler(event: Any) -> None:
        got.append(event[1])
        if event[1] == 4:
            raise RuntimeError("a handler's own")

    def drain() -> bool:
        try:
            pair.server.drain_rx_callback(handler, 1)
        except RuntimeError:
            got.append("raised")
        return len([entry for entry in got if entry in (0, 4, 8)]) >= 3

    pair.until(drain, drains_server=False)
    assert got[:4] == [0, 4, "raised", 8]


def test_counters(pair: Pair) -> None:
    """Numbers, by the names that programs read; printed, a line for each."""
    pair.connected()
    handle = pair.client.tx_send_stream(pair.handle, 0, b"x")
    counters = pair.client.counters
    assert set(COUNTERS) <= set(counters)
    assert all(isinstance(value, int) for value in counters.values())
    assert counters["loop_callbacks"] > 0
    assert counters["tx_event_ring_pushes"] >= counters["tx_event_ring_pops"] > 0
    assert counters["rx_event_drops"] == counters["rx_overflow_pushed"] == 0
    assert tx_data_bytes_queued() >= 0
    text = io.StringIO()
    pair.client.dump_counters(text, "ours", [handle], [pair.handle])
    lines = text.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "ours",
        f"ours, connection {pair.handle}",
        f"ours, stream {handle}",
    ]
    assert " wake_calls=" in lines[0]
    text = io.StringIO()
    gc.collect()
    dump_all_counters(text)
    assert f"transport on port {pair.server.port}: " in text.getvalue()


def test_bytes_that_wait_are_counted(files: tuple[str, str]) -> None:
    """Over all transports: what a connection that never comes about holds."""
    context = TransportContext()
    context.start(alpn="a", ca_file=files[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        handle = context.create_client_connection("127.0.0.1", nobody.getsockname()[1])
        before = tx_data_bytes_queued()
        stream = context.tx_send_stream(handle, 0, bytes(1000))
        assert tx_data_bytes_queued() == before + 1000
        assert context.tx_data_ring_used(stream) == 1000
        context.stop()
    assert tx_data_bytes_queued() == before


@pytest.mark.parametrize(
    "option", [{"wt_path": ""}, {"wt_supported_protocols": "a"}, {"web_folder": "."}, {"dual": True}]
)
def test_webtransport_is_another_package(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="aiopquic-webtransport"):
        TransportContext().start(alpn="h3", **option)


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"debug_log": "log"}, "debug_log is not available here: set qlog_dir"),
        ({"retry": True}, "retry is for servers"),
        ({"key_update_interval": -1}, "key_update_interval is 1 to 4194304 packets, or 0, not -1"),
        ({"is_client": False, "ticket_file": "tickets"}, "ticket_file is for clients"),
        ({"pmtud_policy": "hope"}, 'pmtud_policy is "basic", "delayed" or "blocked", or None'),
        ({"key_exchange_groups": (29, 29)}, "key_exchange_groups are some of .* each once"),
        ({"key_exchange_groups": (1,)}, "key_exchange_groups are some of"),
        ({"desired_version": 7}, "desired_version is 0x1, 0x6b3343cf, or 0"),
        ({"ip_family": 99}, "ip_family is socket.AF_INET or"),
        ({"cipher_suite": 7}, "cipher_suite is 0x1301"),
        ({"congestion_control_algorithm": "hope"}, "no congestion control algorithm 'hope'"),
        ({"qlog_dir": "/nowhere/at/all"}, "qlog_dir '/nowhere/at/all' is not an existing folder"),
        ({"port": 70_000}, "a UDP port is"),
        ({"alpn": None}, "give alpn or alpn_list"),
    ],
)
def test_options_that_cannot_be(option: dict[str, Any], reason: str, files: tuple[str, str]) -> None:
    """A sentence before any socket is opened; the transport can still be started as it should."""
    context = TransportContext()
    with pytest.raises(ConfigurationError, match=reason):
        context.start(**{"alpn": "a", "ca_file": files[0]} | option)
    assert not context.started
    context.start(alpn="a", ca_file=files[0], key_exchange_groups=DEFAULT_KEY_EXCHANGE_GROUPS)
    context.stop()


def test_a_server_that_retries(files: tuple[str, str], tmp_path: Path) -> None:
    """Each client is sent away once with a token, and connects with it (RFC 9000 section 8.1.2)."""
    server, client = TransportContext(), TransportContext()
    server.start(cert_file=files[0], key_file=files[1], alpn="moq-00", is_client=False, retry=True)
    client.start(alpn="moq-00", ca_file=files[0], qlog_dir=str(tmp_path))
    pair = Pair.of_contexts(server, client, "127.0.0.1")
    pair.connected()
    pair.stop()
    events = [event for path in tmp_path.glob("*.qlog") for event in load(path)]  # the new ids begin a new file
    packets = [event["data"].get("packet_type") for event in events if event["event"] == "packet_received"]
    assert packets.count("retry") == 1


def test_tickets_are_kept_in_a_file(files: tuple[str, str], tmp_path: Path) -> None:
    """stop() writes them, and the next client resumes the session (RFC 8446 section 2.2)."""
    server = TransportContext()
    server.start(cert_file=files[0], key_file=files[1], alpn="moq-00", is_client=False)
    resumed = []
    for _ in range(2):
        client = TransportContext()
        client.start(alpn="moq-00", ca_file=files[0], ticket_file=str(tmp_path / "tickets"))
        pair = Pair.of_contexts(server, client, "127.0.0.1")
        pair.connected()
        pair.client.tx_send_stream(pair.handle, 2, b"x", True)  # its acknowledgement comes behind the ticket
        pair.until(lambda pair=pair: any(event[0] == DESTROY for event in pair.client_events))  # type: ignore[misc]
        resumed.append(client.session_resumed(pair.handle))
        client.stop()
    server.stop()
    assert resumed == [False, True]


def test_choices_reach_the_wire(files: tuple[str, str], tmp_path: Path) -> None:
    """Version 2 by the server's change or from the first packet, keys that are updated, one group, no probes."""
    server, client = TransportContext(), TransportContext()
    server.start(cert_file=files[0], key_file=files[1], alpn="moq-00", is_client=False)
    client.start(
        alpn="moq-00",
        ca_file=files[0],
        desired_version=VERSION_2,
        key_update_interval=40,
        key_exchange_groups=[23],
        pmtud_policy="blocked",
        qlog_dir=str(tmp_path),
    )
    pair = Pair.of_contexts(server, client, "127.0.0.1")
    other = pair.connected()
    assert server._events.connections[other].info.version == VERSION_2
    client.tx_send_stream(pair.handle, 0, bytes(1 << 18), True)
    pair.until(lambda: any(event[0] == FIN for event in pair.server_events))
    client.stop()
    logs = "".join(path.read_text() for path in tmp_path.glob("*.qlog"))
    assert set(re.findall(r'"packet_sent".*"key_phase": *(\d)', logs)) == {"0", "1"}
    server.stop()


def test_the_version_of_a_connections_first_packet(pair: Pair) -> None:
    handle = pair.client.create_client_connection(
        "127.0.0.1", pair.server.port, sni="localhost", desired_version=VERSION_2
    )
    pair.until(lambda: any(event[0] == READY and event[5] == handle for event in pair.client_events))
    assert pair.client._events.connections[handle].info.version == VERSION_2
    with pytest.raises(ConfigurationError, match="desired_version"):
        pair.client.create_client_connection("127.0.0.1", pair.server.port, desired_version=2)


def test_congestion_control_by_name() -> None:
    for name in ("newreno", "reno", "cubic", "dcubic", "fast", "bbr", "bbr1", "prague", "c4"):
        check_congestion_control_algorithm(name)
    for wrong in ("hope", "", None):
        with pytest.raises(ValueError, match="no congestion control"):
            check_congestion_control_algorithm(wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6")
def test_both_families_are_served(files: tuple[str, str]) -> None:
    """Without a host; ``ip_family`` chooses one."""
    server = TransportContext()
    server.start(cert_file=files[0], key_file=files[1], alpn="moq-00", is_client=False)
    for family, host in ((-1, "::1"), (-1, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")):
        client = TransportContext()
        client.start(alpn="moq-00", ca_file=files[0], ip_family=family)
        pair = Pair.of_contexts(server, client, host)
        pair.connected()
        client.stop()
    server.stop()


def test_a_transport_can_be_referred_to_weakly_and_goes_away() -> None:
    context = TransportContext()
    reference = weakref.ref(context)
    del context
    gc.collect()
    assert reference() is None


def test_ready_is_told_without_a_connection(pair: Pair) -> None:
    """Event 6 with connection 0: the sockets are open."""
    assert pair.server.drain_rx()[0] == (READY, 0, None, False, 0, 0, 0, 0)

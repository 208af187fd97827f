"""Two low-level transports over the loopback interface: how they agree, what arrives, how it ends.

Datagrams, which the low-level API does not carry, are in test_datagrams.py.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator

import pytest

from aiopquic.exceptions import StreamClosedError
from aiopquic.testing.fixtures import CertificateFiles

from .transport_pair import APP_CLOSE, CLOSE, DATA, DEADLINE, FIN, READY, RESET, STOP, Event, Pair

MARK_FIN, CLOSE_NOW, DO_RESET, DO_STOP = 129, 131, 132, 133


@pytest.fixture
def files(quic_certificate: CertificateFiles) -> tuple[str, str]:
    return str(quic_certificate.certificate), str(quic_certificate.private_key)


@pytest.fixture
def pair(files: tuple[str, str]) -> Iterator[Pair]:
    result = Pair(files)
    yield result
    result.stop()
    del result.client, result.server  # pytest keeps the pair itself until after the leak check


def of_stream(events: list[Event], stream_id: int) -> bytes:
    """The bytes of the stream so far."""
    return b"".join(bytes(event[2]) for event in events if event[0] in (DATA, FIN) and event[1] == stream_id)


def test_handshake(pair: Pair) -> None:
    """Each side is told once, of a connection of its own name, and both say what they agreed on."""
    server_handle = pair.connected()
    assert len(pair.of(pair.client_events, READY)) == len(pair.of(pair.server_events, READY)) == 1
    assert pair.client.get_negotiated_alpn(pair.handle) == pair.server.get_negotiated_alpn(server_handle) == "moq-00"


def test_data_goes_both_ways_with_fin(pair: Pair) -> None:
    """The tuples carry stream id, data, FIN and the connection's handle."""
    server_handle = pair.connected()
    pair.client.tx_send_stream(pair.handle, 0, b"question", True)
    pair.until(lambda: bool(pair.of(pair.server_events, FIN)))
    event = pair.of(pair.server_events, FIN)[0]
    assert (event[1], bytes(event[2]), event[3], event[5]) == (0, b"question", True, server_handle)
    pair.server.push_tx_event(MARK_FIN, 0, b"answer", cnx_ptr=server_handle)
    pair.until(lambda: bool(pair.of(pair.client_events, FIN)))
    assert bytes(pair.of(pair.client_events, FIN)[0][2]) == b"answer"


def test_one_way_streams(pair: Pair) -> None:
    """Each side opens one; writing on the other's is refused."""
    server_handle = pair.connected()
    pair.client.tx_send_stream(pair.handle, 2, b"from the client", True)
    pair.server.tx_send_stream(server_handle, 3, b"from the server", True)
    pair.until(lambda: bool(pair.of(pair.server_events, FIN) and pair.of(pair.client_events, FIN)))
    assert of_stream(pair.server_events, 2) == b"from the client"
    assert of_stream(pair.client_events, 3) == b"from the server"
    with pytest.raises(StreamClosedError):
        pair.client.tx_send_stream(pair.handle, 3, b"wrong way")


def test_an_end_without_bytes(pair: Pair) -> None:
    server_handle = pair.connected()
    pair.client.tx_send_stream(pair.handle, 0, b"", True)
    pair.until(lambda: bool(pair.of(pair.server_events, FIN)))
    assert [(event[1], event[5]) for event in pair.of(pair.server_events, FIN)] == [(0, server_handle)]


def test_reset_and_stop_carry_their_codes(pair: Pair) -> None:
    """RESET_STREAM and STOP_SENDING arrive with the codes that were given."""
    pair.connected()
    for stream_id in (0, 4):
        pair.client.tx_send_stream(pair.handle, stream_id, b"some")
    pair.until(lambda: len(pair.of(pair.server_events, DATA)) == 2)
    pair.client.push_tx(DO_RESET, 0, error_code=11, cnx_ptr=pair.handle)
    pair.client.push_tx(DO_STOP, 4, error_code=22, cnx_ptr=pair.handle)
    pair.until(lambda: bool(pair.of(pair.server_events, RESET) and pair.of(pair.server_events, STOP)))
    assert pair.of(pair.server_events, RESET)[0][4] == 11
    assert pair.of(pair.server_events, STOP)[0][4] == 22


@pytest.mark.parametrize("code", [0, 33, (1 << 62) - 1])
def test_close_carries_its_code(pair: Pair, code: int) -> None:
    """The peer is told once, with the code, and the closer too."""
    pair.connected()
    pair.client.push_tx(CLOSE_NOW, 0, b"that was all", error_code=code, cnx_ptr=pair.handle)
    pair.until(lambda: bool(pair.of(pair.server_events, APP_CLOSE) and pair.of(pair.client_events, APP_CLOSE)))
    assert [event[4] for event in pair.of(pair.server_events, APP_CLOSE)] == [code]
    assert not pair.of(pair.server_events, CLOSE)


def ends_with(pair: Pair, condition: Callable[[], bool], seconds: float) -> None:
    """It comes true, and not only when the test's patience ends."""
    begin = time.monotonic()
    pair.until(condition)
    assert time.monotonic() - begin < seconds


def test_no_common_alpn(files: tuple[str, str]) -> None:
    """The client is told at once, by the alert no_application_protocol, and the server has no connection."""
    pair = Pair(files)
    try:
        pair.connected()
        handle = pair.client.create_client_connection("127.0.0.1", pair.server.port, sni="localhost", alpn="other")
        ends_with(pair, lambda: any(event[5] == handle for event in pair.of(pair.client_events, CLOSE)), DEADLINE / 2)
        assert [event[4] for event in pair.of(pair.client_events, CLOSE)] == [0x178]
        assert len(pair.of(pair.server_events, READY)) == 1
    finally:
        pair.stop()


def test_idle_timeout(files: tuple[str, str]) -> None:
    """Silence ends the connection on both sides after the shorter of their times."""
    pair = Pair(files, idle_timeout_ms=300)
    try:
        pair.connected()
        ends_with(
            pair,
            lambda: bool(pair.of(pair.client_events, CLOSE) and pair.of(pair.server_events, CLOSE)),
            DEADLINE / 2,
        )
        assert not pair.of(pair.client_events, APP_CLOSE)
    finally:
        pair.stop()


def test_many_streams(pair: Pair) -> None:
    """500 at once, each with bytes of its own, and an answer on each."""
    server_handle = pair.connected()
    ids = range(0, 2000, 4)
    for stream_id in ids:
        pair.client.tx_send_stream(pair.handle, stream_id, b"question %d" % stream_id, True)
    pair.until(lambda: len(pair.of(pair.server_events, FIN)) == len(ids))
    for stream_id in ids:
        assert of_stream(pair.server_events, stream_id) == b"question %d" % stream_id
        pair.server.tx_send_stream(server_handle, stream_id, b"answer %d" % stream_id, True)
    pair.until(lambda: len(pair.of(pair.client_events, FIN)) == len(ids))
    for stream_id in ids:
        assert of_stream(pair.client_events, stream_id) == b"answer %d" % stream_id


@pytest.mark.threaded
def test_a_full_ring_takes_all_or_nothing(files: tuple[str, str]) -> None:
    """BufferError leaves the stream as it was, and the same write succeeds later."""
    pair = Pair(files)
    pair.connected()
    block = bytes(1 << 20)
    taken = 0
    is_full = False
    try:
        while not is_full:
            try:
                pair.client.tx_send_stream(pair.handle, 0, block)
                taken += len(block)
            except BufferError:
                is_full = True
        received = 0
        end = time.monotonic() + DEADLINE
        pending = True
        while received < taken + len(block):
            assert time.monotonic() < end
            select.select([pair.server.eventfd], [], [], 0.05)
            received += sum(len(event[2]) for event in pair.server.drain_rx() if event[0] in (DATA, FIN))
            if pending:
                try:
                    pair.client.tx_send_stream(pair.handle, 0, block, True)
                    pending = False
                except BufferError:
                    pass
        assert received == taken + len(block)
    finally:
        pair.stop()

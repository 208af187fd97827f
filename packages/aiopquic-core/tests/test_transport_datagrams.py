"""Datagrams of the low-level API (RFC 9221): rings of any size, events 8, 9, 10 and 19."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiopquic._binding._transport import (
    EVT_DATAGRAM,
    EVT_DATAGRAM_ACKED,
    EVT_DATAGRAM_TX_DRAINED,
    TransportContext,
)
from aiopquic.exceptions import StreamClosedError
from aiopquic.testing.certificates import dev_certificate

from .transport_pair import APP_CLOSE, READY, Pair


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    certificate, key = dev_certificate().write(tmp_path)
    return str(certificate), str(key)


@contextmanager
def started(files: tuple[str, str], client_takes: int = 65536, server_takes: int = 65536) -> Iterator[Pair]:
    """A pair before its handshake, whose ends take datagrams of these sizes."""
    server, client = TransportContext(), TransportContext()
    server.start(
        cert_file=files[0],
        key_file=files[1],
        alpn="moq-00",
        is_client=False,
        max_datagram_frame_size=server_takes,
    )
    client.start(alpn="moq-00", ca_file=files[0], max_datagram_frame_size=client_takes)
    pair = Pair.of_contexts(server, client, "127.0.0.1")
    try:
        yield pair
    finally:
        pair.stop()


def received(pair: Pair) -> list[bytes]:
    """What the server was told of, while the client sends."""
    return [bytes(event[2]) for event in pair.server_events if event[0] == EVT_DATAGRAM]


def test_a_datagram_arrives_as_event_8(files: tuple[str, str]) -> None:
    """Its bytes and its connection, no stream; with a ``uid`` event 9 tells that it was acknowledged."""
    with started(files) as pair:
        other = pair.connected()
        assert 1000 < pair.client.datagram_payload_ceiling(pair.handle) < 1500
        ring = pair.client.dgram_ring_create(1 << 14, 1200)
        assert pair.client.dgram_send(pair.handle, ring, memoryview(b"hello"), uid=7) == 1
        assert pair.client.dgram_send(pair.handle, ring, b"") == 1
        pair.until(lambda: len(received(pair)) == 2)
        first = next(event for event in pair.server_events if event[0] == EVT_DATAGRAM)
        assert isinstance(first[2], memoryview)
        assert first == (EVT_DATAGRAM, 0, b"hello", False, 0, other, 0, 0)
        assert received(pair) == [b"hello", b""]
        told = (EVT_DATAGRAM_ACKED, 7, None, False, 0, pair.handle, 0, 0)
        pair.until(lambda: told in pair.client_events)
        assert len([event for event in pair.client_events if event[0] == EVT_DATAGRAM_ACKED]) == 1


def test_what_is_pushed_before_the_handshake_is_sent_after_it(files: tuple[str, str]) -> None:
    """The ring holds it; event 19 tells that it is empty again."""
    with started(files) as pair:
        ring = pair.client.dgram_ring_create(1 << 14, 1200)
        assert pair.client.dgram_push(ring, b"early") == 5
        assert pair.client.dgram_mark_ready(pair.handle, ring) == 1
        assert pair.client.dgram_send(pair.handle, ring, b"second") == 2
        assert pair.client.dgram_ring_stats(ring) == {
            "capacity": 1 << 14,
            "bytes_used": 5 + 6 + 8,
            "records": 2,
            "dropped": 0,
        }
        assert pair.client.datagram_payload_ceiling(pair.handle) == 0
        pair.until(lambda: len(received(pair)) == 2)
        assert received(pair) == [b"early", b"second"]
        drained = (EVT_DATAGRAM_TX_DRAINED, 0, None, False, 0, pair.handle, ring, ring)
        assert pair.client_events.count(drained) == 1
        assert pair.client_events.index(drained) > [event[0] for event in pair.client_events].index(READY)
        assert pair.client.dgram_ring_stats(ring)["bytes_used"] == 0


def test_a_full_ring_tells_of_room(files: tuple[str, str]) -> None:
    """0 and nothing taken; whoever then waits for event 19 is never left waiting (lost wake-ups)."""
    count = 300
    with started(files) as pair:
        pair.connected()
        ring = pair.client.dgram_ring_create(4000, 1000)
        sent, drained, answers = 0, 0, set()

        def drains() -> int:
            return sum(event[0] == EVT_DATAGRAM_TX_DRAINED for event in pair.client_events)

        while sent < count:
            answer = pair.client.dgram_send(pair.handle, ring, sent.to_bytes(2, "big") * 500)
            answers.add(answer)
            if answer == 0:
                pair.until(lambda known=drained: drains() > known)  # type: ignore[misc]
                drained = drains()
            else:
                sent += 1
        assert answers == {0, 1, 2}
        assert drained > 0
        stats = pair.client.dgram_ring_stats
        pair.until(lambda: stats(ring)["records"] == 0)
        assert stats(ring)["dropped"] == 0
        numbers = [int.from_bytes(data[:2], "big") for data in received(pair)]
        assert len(set(numbers)) == len(numbers)


def test_what_cannot_be_sent_is_answered(files: tuple[str, str]) -> None:
    """-1 for what no ring and no connection will ever take."""
    with started(files) as pair:
        pair.connected()
        client = pair.client
        ring = client.dgram_ring_create(1 << 14, 1 << 13)
        assert client.dgram_push(ring, bytes((1 << 13) + 1)) == -1
        assert client.dgram_send(pair.handle, ring, bytes(1 << 13)) == -1
        assert client.dgram_send(123456, ring, b"x") == -1
        assert client.dgram_send(pair.handle, 99, b"x") == client.dgram_push(99, b"x") == -1
        assert client.dgram_ring_stats(99) == {}
        assert client.datagram_payload_ceiling(123456) == 0
        with pytest.raises(ValueError, match="no datagram ring 99"):
            client.dgram_mark_ready(pair.handle, 99)
        with pytest.raises(StreamClosedError, match="no open connection"):
            client.dgram_mark_ready(123456, ring)
        with pytest.raises(ValueError, match="no room for a datagram of 100"):
            client.dgram_ring_create(100, 100)
        # Larger than the path takes: pushed without a connection, dropped by it.
        assert client.dgram_push(ring, bytes(5000)) == 5000
        assert client.dgram_mark_ready(pair.handle, ring) == 0
        assert client.dgram_ring_stats(ring)["dropped"] == 1
        client.dgram_ring_release(ring, pair.handle)
        client.dgram_ring_release(ring)
        assert client.dgram_push(ring, b"x") == -1


def test_a_peer_that_takes_none(files: tuple[str, str]) -> None:
    """What waited for the handshake is dropped and counted; later ones are refused."""
    with started(files, server_takes=0) as pair:
        ring = pair.client.dgram_ring_create(1 << 14, 1200)
        assert pair.client.dgram_send(pair.handle, ring, b"early") == 2
        pair.connected()
        assert pair.client.dgram_ring_stats(ring)["dropped"] == 1
        assert pair.client.dgram_send(pair.handle, ring, b"") == -1
        assert received(pair) == []


def test_a_ring_outlives_its_connection(files: tuple[str, str]) -> None:
    """What waited is dropped and counted; the ring serves the next connection."""
    with started(files) as pair:
        client = pair.client
        ring = client.dgram_ring_create(1 << 14, 1200)
        assert client.dgram_send(pair.handle, ring, b"lost") == 2
        client.close_connection(pair.handle)
        ended: Callable[[], bool] = lambda: bool(  # noqa: E731
            [event for event in pair.client_events if event[0] in (4, APP_CLOSE) and event[5] == pair.handle]
        )
        pair.until(ended)
        assert client.dgram_ring_stats(ring)["dropped"] == 1
        assert client.dgram_send(pair.handle, ring, b"x") == -1
        pair.connect("127.0.0.1")
        pair.connected()
        assert client.dgram_send(pair.handle, ring, b"kept") == 1
        pair.until(lambda: b"kept" in received(pair))

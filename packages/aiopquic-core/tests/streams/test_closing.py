"""The end of a connection: who says it, what still arrives, what it ends, and what is known of it afterwards."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl

import pytest

import aiopquic
from aiopquic.streams import _closing

from ..support import until
from .support import Ends, cancelled, soon, started

MIB = 1 << 20


async def test_close_tells_the_peer(ends: Ends) -> None:
    async with ends.pair() as pair:
        pair.client.close(0x1234, "grüße")
        pair.client.close(2, "too late")
        ours, theirs = await soon(asyncio.gather(pair.client.wait_closed(), pair.peer.wait_closed()))
        assert (ours.kind, ours.is_remote, ours.error_code, ours.reason) == (
            aiopquic.CloseKind.APPLICATION,
            False,
            0x1234,
            "grüße",
        )
        assert theirs == dataclasses.replace(ours, is_remote=True)
        assert pair.client.is_closed
        assert pair.peer.is_closed
        assert await pair.client.wait_closed() == pair.client.close_reason


async def test_connection_as_context_manager_delivers(ends: Ends) -> None:
    """Finished streams are acknowledged before the connection closes."""
    received: list[bytes] = []

    async def handler(conn: aiopquic.Connection) -> None:
        async for stream in conn.incoming_streams():
            received.append(await stream.read_all(limit=64 * MIB))

    async with ends.serve(handler) as server:
        async with ends.connect(server) as conn:
            stream = await conn.open_send_stream()
            await stream.write(bytes(3 * MIB), end_stream=True)
        assert conn.close_reason is not None
        assert conn.close_reason.error_code == 0
        await until(lambda: received)
    assert received == [bytes(3 * MIB)]


async def test_exception_in_the_block_closes_at_once(ends: Ends) -> None:
    async def handler(conn: aiopquic.Connection) -> None:
        await conn.wait_closed()

    async with ends.serve(handler) as server:
        with pytest.raises(KeyError):  # noqa: PT012 - what the block is left by
            async with ends.connect(server) as conn:
                stream = await conn.open_send_stream()
                await stream.write(bytes(4 * MIB), end_stream=True)
                raise KeyError
        assert conn.close_reason is not None
        assert not conn.close_reason.is_remote


async def test_aclose_gives_up_on_a_peer_that_stands_still(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished stream that the window holds forever does not hold the close."""
    monkeypatch.setattr(_closing, "QUIET_SECONDS", 0.05)
    async with ends.pair(max_stream_data=1 << 14, initial_stream_window=1 << 14) as pair:
        ours, _ = await pair.streams()
        await ours.write(bytes(MIB), end_stream=True)
        await soon(pair.client.aclose(5, "given up"))
        assert (await soon(pair.peer.wait_closed())).reason == "given up"


async def test_aclose_goes_on_while_there_is_progress(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is slow but reads gets everything."""
    monkeypatch.setattr(_closing, "QUIET_SECONDS", 0.2)
    async with ends.pair(max_stream_data=1 << 16, initial_stream_window=1 << 16) as pair:
        ours, theirs = await pair.streams()
        size = 2 * MIB
        await ours.write(bytes(size), end_stream=True)
        closing = await started(pair.client.aclose())
        received = 0
        while received < size:
            received += len(await soon(theirs.readexactly(min(1 << 16, size - received))))
            await pair.peer.stats()
        assert await soon(theirs.read()) == b""
        await soon(closing)


async def test_aclose_leaves_streams_that_are_given_up(ends: Ends) -> None:
    async with ends.pair(max_stream_data=1 << 14, initial_stream_window=1 << 14) as pair:
        ours, _ = await pair.streams()
        await ours.write(bytes(MIB), end_stream=True)
        stopped, stopped_peer = await pair.streams()
        await stopped.write(bytes(MIB), end_stream=True)
        closing = await started(pair.client.aclose())
        ours.reset(1)
        stopped_peer.stop(1)
        await soon(closing)


async def test_cancelled_aclose_closes_at_once(ends: Ends) -> None:
    async with ends.pair(max_stream_data=1 << 14, initial_stream_window=1 << 14) as pair:
        ours, _ = await pair.streams()
        await ours.write(bytes(MIB), end_stream=True)
        await cancelled(await started(pair.client.aclose(9, "hurry")))
        assert (await soon(pair.peer.wait_closed())).reason == "hurry"


async def test_wait_closed_can_be_given_up(ends: Ends) -> None:
    async with ends.pair() as pair:
        waiters = [await started(pair.client.wait_closed()) for _ in range(3)]
        await cancelled(waiters[1])
        pair.peer.close(4)
        for task in (waiters[0], waiters[2]):
            assert (await soon(task)).error_code == 4


async def test_everything_that_waits_ends_with_the_connection(ends: Ends) -> None:
    """robustness.md, "Lost wake-ups": no waiter is left behind, whatever it waits for."""
    async with ends.pair(
        server={"max_streams_bidi": 1}, stream_ring_cap=1 << 15, initial_stream_window=1 << 14
    ) as pair:
        ours, _ = await pair.streams()
        calls = [
            ours.read(),
            ours.write(bytes(MIB)),
            ours.write(b"behind"),
            ours.wait_acked(),
            pair.client.open_stream(),
            pair.client.accept_stream(),
            pair.client.incoming_streams().__anext__(),
        ]
        tasks = [asyncio.ensure_future(call) for call in calls]
        await pair.client.ping()
        assert not any(task.done() for task in tasks)
        pair.peer.close(8, "over")
        results = await soon(asyncio.gather(*tasks, return_exceptions=True))
        assert isinstance(results.pop(), StopAsyncIteration)
        for result in results:
            assert isinstance(result, aiopquic.ConnectionClosedError), result
            assert result.error_code == 8


async def test_what_is_known_stays_known(ends: Ends) -> None:
    async with ends.pair(client={"server_name": "localhost"}) as pair:
        stats = await pair.client.stats()
        pair.client.close()
        await soon(pair.client.wait_closed())
        assert (await pair.client.stats()).smoothed_rtt == pytest.approx(stats.smoothed_rtt, abs=1)
        for conn, is_client in ((pair.client, True), (pair.peer, False)):
            assert conn.is_client is is_client
            assert conn.alpn == "test"
            assert conn.version == 1
            assert conn.server_name == "localhost"
            assert conn.session_resumed is False
        assert pair.client.peer_certificate is not None
        pem = ends.certificates.good.cert.read_text()
        assert pair.client.peer_certificate == ssl.PEM_cert_to_DER_cert(pem)
        assert pair.peer.peer_certificate is None
        assert pair.client.peer_address == ("127.0.0.1", pair.server.port)
        assert pair.peer.peer_address[0] == "127.0.0.1"
        assert pair.peer.local_address == ("127.0.0.1", pair.server.port)
        with pytest.raises(aiopquic.ConnectionClosedError):
            await pair.client.ping()


async def test_idle_timeout_has_an_error_of_its_own(ends: Ends) -> None:
    async with ends.pair(idle_timeout=0.3) as pair:
        _, theirs = await pair.streams()
        with pytest.raises(aiopquic.IdleTimeoutError):
            await soon(theirs.read())
        await soon(pair.client.wait_closed())
        with pytest.raises(TimeoutError):
            await soon(pair.client.open_stream())
        assert pair.client.close_reason is not None
        assert pair.client.close_reason.kind is aiopquic.CloseKind.IDLE_TIMEOUT


async def test_ping(ends: Ends) -> None:
    async with ends.pair() as pair:
        assert 0 < await soon(pair.client.ping()) < 20
        times = await soon(asyncio.gather(*(pair.peer.ping() for _ in range(10))))
        assert all(time > 0 for time in times)
        for _ in range(20):
            await cancelled(await started(pair.client.ping()))
        assert await soon(pair.client.ping()) > 0
        assert pair.client._pings == {}


async def test_too_many_pings_at_once(ends: Ends) -> None:
    async with ends.pair() as pair:
        results = await soon(asyncio.gather(*(pair.client.ping() for _ in range(200)), return_exceptions=True))
        assert {type(result) for result in results} <= {float, aiopquic.WouldBlockError}
        assert await soon(pair.client.ping()) > 0


async def test_stats(ends: Ends) -> None:
    """A fresh snapshot each time, in seconds and bytes; frozen."""
    async with ends.pair() as pair:
        assert pair.client.latest_stats is None
        before = await soon(pair.client.stats())
        assert pair.client.latest_stats == before
        ours, theirs = await pair.streams()
        await ours.write(bytes(100_000), end_stream=True)
        await soon(theirs.read_all())
        await ours.wait_acked()
        after = await soon(pair.client.stats())
        assert after.stream_bytes_sent - before.stream_bytes_sent >= 100_001
        assert after.bytes_sent > before.bytes_sent + 100_000
        assert after.packets_sent > before.packets_sent
        assert 0 < after.min_rtt <= after.smoothed_rtt < 20
        assert after.congestion_window > 0
        with pytest.raises(dataclasses.FrozenInstanceError):
            after.packets_lost = 0  # type: ignore[misc]
        asking = [await started(pair.client.stats()) for _ in range(3)]
        await cancelled(asking[1])
        await soon(asyncio.gather(asking[0], asking[2]))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((-1,), "an error code is 0 to 2\\*\\*62 - 1"),
        ((1 << 62,), "an error code is"),
        (("0",), "an error code is"),
        ((0, "x" * 1025), "at most 1024 bytes of UTF-8, not 1025"),
        ((0, "ü" * 600), "not 1200"),
    ],
)
async def test_bad_codes_and_reasons(ends: Ends, arguments: tuple[object, ...], text: str) -> None:
    """Refused where they are given; the connection lives on."""
    async with ends.pair() as pair:
        with pytest.raises(ValueError, match=text):
            pair.client.close(*arguments)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=text):
            await pair.client.aclose(*arguments)  # type: ignore[arg-type]
        await pair.round_trip()

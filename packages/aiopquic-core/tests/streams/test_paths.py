"""Paths over real sockets: another port, another address, a NAT that moves, and what is refused."""

from __future__ import annotations

import asyncio
import errno

import pytest

import aiopquic
from aiopquic.exceptions import BindError, PathError

from ..nat import Nat
from ..support import until
from .support import Ends, soon


@pytest.mark.parametrize("address", [None, "127.0.0.2"])
async def test_a_client_moves(ends: Ends, address: str | None):
    async with ends.pair() as pair:
        before = pair.client.local_address
        events = pair.peer.path_events()
        path = await soon(pair.client.migrate(address))
        assert path.local_address == pair.client.local_address != before
        assert path.local_address[0] == (address or "127.0.0.1")
        await pair.round_trip()
        event = await soon(anext(events))
        assert (event.kind, event.path.peer_address) == ("available", path.local_address)
        assert pair.peer.peer_address == path.local_address


async def test_an_address_of_another_host(ends: Ends):
    async with ends.pair() as pair:
        before = pair.client.local_address
        with pytest.raises(BindError, match=r"192\.0\.2\.1 port 0 can't be bound") as caught:
            await soon(pair.client.migrate("192.0.2.1"))
        assert caught.value.errno == errno.EADDRNOTAVAIL
        with pytest.raises(PathError, match="different families"):
            await soon(pair.client.migrate("::1"))
        assert pair.client.local_address == before
        await pair.round_trip()


async def test_picoquics_loop_opens_no_sockets(ends: Ends, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIOPQUIC_LOOP", "portable")
    async with ends.pair(client={"shared": False}) as pair:
        with pytest.raises(PathError, match="AIOPQUIC_LOOP"):
            await soon(pair.client.migrate())
        await pair.round_trip()


async def test_moves_without_a_pause(ends: Ends):
    """The peer has given eight connection ids: the ninth move waits until those of the first are given back."""
    async with ends.pair() as pair:
        for _ in range(12):
            await soon(pair.client.migrate())
        await pair.round_trip()


async def test_a_server_follows_a_nat_that_moves(ends: Ends):
    arrived: asyncio.Future[aiopquic.Connection] = asyncio.get_running_loop().create_future()

    async def handle(conn: aiopquic.Connection) -> None:
        arrived.set_result(conn)
        async for stream in conn.incoming_streams(bidirectional=True):
            await stream.write(await stream.read_all(), end_stream=True)

    async with ends.serve(handle) as server:
        nat = Nat(("127.0.0.1", server.port))
        host, port = await nat.start()
        try:
            good = ends.certificates.good
            async with aiopquic.connect(host, port, alpn=["test"], cafile=good.cert) as client:
                theirs = await soon(arrived)
                for _ in range(3):
                    await nat.move()
                    stream = await soon(client.open_stream())
                    await soon(stream.write(bytes(200_000), end_stream=True))
                    assert len(await soon(stream.read_all())) == 200_000
                    await until(lambda: theirs.peer_address == nat.address)
        finally:
            nat.close()

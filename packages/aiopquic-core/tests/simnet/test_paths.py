"""Paths over simulated links: moving between interfaces, a NAT that moves, several paths at once."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

import aiopquic
from aiopquic.exceptions import BindError, ConfigurationError, ConnectionClosedError, PathError
from aiopquic.testing.simnet import Host, Link, SimulatedNetwork, simulated

ALPN = ["paths"]
FIRST, SECOND = "10.9.0.1", "10.9.1.1"
"The client's two interfaces."


@dataclass
class Served:
    """A server and what its connections have brought."""

    host: Host
    client_host: Host
    cafile: str
    connections: list[aiopquic.Connection] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    async def handle(self, connection: aiopquic.Connection) -> None:
        """Answers each stream with the number of its bytes."""
        self.connections.append(connection)
        async for stream in connection.incoming_streams(bidirectional=True):
            data = await stream.read_all(limit=1 << 26)
            assert data == pattern(len(data))
            self.lengths.append(len(data))
            await stream.write(str(len(data)).encode(), end_stream=True)

    def connect(self, **settings: Any) -> Any:
        return aiopquic.connect("server", 443, alpn=ALPN, cafile=self.cafile, **settings)


@asynccontextmanager
async def serving(network: SimulatedNetwork, **settings: Any) -> AsyncIterator[Served]:
    host, client_host = network.host("server"), network.host("mobile", FIRST, SECOND)
    files = network.certificate()
    served = Served(host, client_host, files.certificate)
    with host:
        server = await aiopquic.serve(
            served.handle,
            host.address,
            443,
            alpn=ALPN,
            certificate=files.certificate,
            private_key=files.private_key,
            **settings,
        )
    with client_host:
        async with server:
            yield served


def pattern(length: int) -> bytes:
    return (bytes(range(251)) * (length // 251 + 1))[:length]


async def upload(connection: aiopquic.Connection, length: int) -> None:
    stream = await connection.open_stream()
    await stream.write(pattern(length), end_stream=True)
    assert await stream.read_all() == str(length).encode()


@simulated(seed=1, link=Link(mbps=20, delay=0.02))
async def test_moves_to_another_interface_in_a_transfer(network: SimulatedNetwork):
    """No byte is lost, and the first interface may go for good."""
    async with serving(network) as served, served.connect() as connection:
        events = connection.path_events()
        transfer = asyncio.create_task(upload(connection, 3_000_000))
        await asyncio.sleep(0.5)
        theirs = served.connections[0]
        assert theirs.peer_address[0] == FIRST
        their_events = theirs.path_events()
        path = await connection.migrate(SECOND)
        network.change(FIRST, served.host, down=True)
        assert path.local_address[0] == connection.local_address[0] == SECOND
        assert path.is_validated
        assert 0.03 < path.smoothed_rtt < 0.5
        await transfer
        event = await anext(their_events)
        assert event.kind == "available"
        assert event.path.peer_address == theirs.peer_address == connection.local_address
        assert (await anext(events)).path.local_address[0] == SECOND
        assert network.counters(SECOND, served.host).delivered_bytes > 1_000_000


@simulated(seed=2)
async def test_another_port_of_the_same_address(network: SimulatedNetwork):
    async with serving(network) as served, served.connect() as connection:
        before = connection.local_address
        for _ in range(20):
            await connection.migrate()
            await upload(connection, 1000)
            await asyncio.sleep(1)
        assert connection.local_address[0] == before[0]
        assert connection.local_address[1] > before[1]
        (path,) = await connection.paths()
        assert path.local_address == connection.local_address
        await connection.migrate((FIRST, 7777))
        assert connection.local_address == (FIRST, 7777)


@simulated(seed=3)
async def test_a_failed_move_changes_nothing(network: SimulatedNetwork):
    """robustness.md of issue 7: a migration that fails leaves the connection where it was."""
    async with serving(network) as served, served.connect() as connection:
        before = connection.local_address
        network.change(SECOND, served.host, down=True)
        with pytest.raises(PathError, match="did not answer on the new path"):
            await connection.migrate(SECOND)
        with pytest.raises(BindError, match="no address of this simulated host") as caught:
            await connection.migrate("10.9.9.9")
        assert caught.value.errno == errno.EADDRNOTAVAIL
        with pytest.raises(ConfigurationError, match="IP literals"):
            await connection.migrate("mobile")
        with pytest.raises(ConfigurationError, match="0 to 65535"):
            await connection.migrate((FIRST, 65536))
        with pytest.raises(PathError, match="only clients move"):
            await served.connections[0].migrate()
        with pytest.raises(PathError, match="one path alone"):
            await connection.add_path(SECOND)
        with pytest.raises(PathError, match="one path alone"):
            await connection.abandon_path(0)
        with pytest.raises(PathError, match="one path alone"):
            await connection.set_path_backup(0)
        with pytest.raises(PathError, match="what add_path"):
            await connection.abandon_path("0")  # type: ignore[arg-type]
        assert connection.local_address == before
        await upload(connection, 10_000)
        network.change(SECOND, served.host, down=False)
        assert (await connection.migrate(SECOND)).local_address[0] == SECOND


@simulated(seed=4)
async def test_a_move_that_is_cancelled(network: SimulatedNetwork):
    async with serving(network) as served, served.connect() as connection:
        before = connection.local_address
        network.change(SECOND, served.host, down=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await connection.migrate(SECOND)
        network.change(SECOND, served.host, down=False)
        await asyncio.sleep(10)
        assert connection.local_address == before
        await connection.migrate(SECOND)  # nothing of the first attempt is in its way
        await upload(connection, 10_000)


@simulated(seed=5)
async def test_the_end_of_the_connection_ends_the_wait(network: SimulatedNetwork):
    async with serving(network) as served, served.connect() as connection:
        network.change(SECOND, served.host, down=True)
        events = connection.path_events()
        moving = asyncio.create_task(connection.migrate(SECOND))
        await asyncio.sleep(0.1)
        served.connections[0].close(7, "enough")
        with pytest.raises(ConnectionClosedError, match="enough"):
            await moving
        assert [event async for event in events] == []
        with pytest.raises(ConnectionClosedError, match="enough"):
            await connection.migrate(SECOND)
        with pytest.raises(ConnectionClosedError):
            await connection.paths()
        with pytest.raises(ConnectionClosedError):
            connection.path_events()


@simulated(seed=6, link=Link(mbps=10, delay=0.02))
async def test_a_nat_that_moves_again_and_again(network: SimulatedNetwork):
    """The server follows, and each address that was left gives its connection id back."""
    async with serving(network) as served, served.connect() as connection:
        await upload(connection, 1000)
        theirs = served.connections[0]
        events = theirs.path_events()
        for port in range(1000, 1020):
            network.rebind(connection.local_address, (FIRST, port))
            await upload(connection, 50_000)
            assert (await anext(events)).path.peer_address == (FIRST, port)
            assert theirs.peer_address == (FIRST, port)
            await asyncio.sleep(2)
        assert len(served.connections) == 1


@simulated(seed=7, link=Link(mbps=10, delay=0.02))
async def test_quality_is_told(network: SimulatedNetwork):
    async with serving(network) as served, served.connect() as connection:
        events = connection.path_events(rtt_change=0.05)
        await upload(connection, 10_000)
        network.change(served.host, served.client_host, delay=0.3)
        await upload(connection, 100_000)
        event = await anext(events)
        assert event.kind == "quality"
        assert event.path.smoothed_rtt > 0.08


# ---- several paths ----

PATHS = Link(mbps=10, delay=0.02, queue_bytes=100_000)


@simulated(seed=8, link=PATHS)
async def test_two_paths_carry_more_than_one(network: SimulatedNetwork):
    async with serving(network, max_paths=2) as served, served.connect(max_paths=2) as connection:
        start = network.time
        await upload(connection, 4_000_000)
        alone = network.time - start
        path = await connection.add_path(SECOND)
        assert path.id != 0
        start = network.time
        await upload(connection, 4_000_000)
        together = network.time - start
        assert together < 0.7 * alone
        first, second = sorted(await connection.paths(), key=lambda path: path.id)
        assert (first.local_address[0], second.local_address[0]) == (FIRST, SECOND)
        assert second.bytes_sent > 1_500_000
        assert await connection.ping() < 1


@simulated(seed=9, link=PATHS)
async def test_a_path_dies_without_a_byte_lost(network: SimulatedNetwork):
    async with serving(network, max_paths=4) as served, served.connect(max_paths=4) as connection:
        await connection.add_path(SECOND)
        transfer = asyncio.create_task(upload(connection, 6_000_000))
        await asyncio.sleep(1)
        assert not transfer.done()
        network.change(FIRST, served.host, down=True)
        await transfer
        assert served.lengths == [6_000_000]


@simulated(seed=20, link=PATHS)
async def test_what_was_in_flight_on_an_abandoned_path_is_sent_again(network: SimulatedNetwork):
    """Whenever the client abandons a dead path; its server may have tried it again, and waits longer than it stays."""
    async with serving(network, max_paths=2) as served, served.connect(max_paths=2) as connection:
        await upload(connection, 1)
        theirs = served.connections[0]
        for patience in (0.3, 0.5, 0.56, 0.62, 1):
            alone = (await connection.paths())[0]
            dying, other = alone.local_address[0], SECOND if alone.local_address[0] == FIRST else FIRST
            await connection.add_path(other)
            sending = await theirs.open_stream()
            writing = asyncio.create_task(sending.write(pattern(4_000_000), end_stream=True))
            receiving = await connection.accept_stream(bidirectional=True)
            await receiving.readexactly(1_000_000)
            network.change(dying, served.host, down=True)
            await asyncio.sleep(patience)
            await connection.abandon_path(alone)
            async with asyncio.timeout(20):
                assert len(await receiving.read_all()) == 3_000_000
            await writing
            await receiving.finish()
            await sending.read_all()
            network.change(dying, served.host, down=False)


@simulated(seed=10, link=PATHS)
async def test_a_path_is_abandoned(network: SimulatedNetwork):
    async with serving(network, max_paths=2) as served, served.connect(max_paths=2) as connection:
        events, their_events = connection.path_events(), served.connections[0].path_events()
        path = await connection.add_path(SECOND)
        assert (await anext(events)).kind == "available"
        event = await anext(their_events)
        assert (event.kind, event.path.peer_address) == ("available", path.local_address)
        with pytest.raises(PathError, match="as many paths as both sides allow"):
            await connection.add_path()
        await connection.abandon_path(0)
        with pytest.raises(PathError, match="last path"):
            await connection.abandon_path(path)
        with pytest.raises(PathError, match="no such path"):
            await connection.abandon_path(17)
        transfer = asyncio.create_task(upload(connection, 1_000_000))
        event = await anext(events)
        assert (event.kind, event.path.id) == ("deleted", 0)
        event = await anext(their_events)
        assert (event.kind, event.path.id) == ("deleted", 0)
        await transfer
        assert [path.id for path in await connection.paths()] == [path.id]
        assert connection.local_address == path.local_address
        again = await connection.add_path(FIRST)  # what was left makes room
        assert again.id not in (0, path.id)
        await upload(connection, 100_000)


@simulated(seed=11, link=PATHS)
async def test_a_backup_waits_until_it_is_needed(network: SimulatedNetwork):
    async with serving(network, max_paths=2) as served, served.connect(max_paths=2) as connection:
        path = await connection.add_path(SECOND)
        await connection.set_path_backup(path)
        await upload(connection, 1_000_000)
        assert network.counters(SECOND, served.host).delivered_bytes < 100_000
        assert next(each for each in await connection.paths() if each.id == path.id).is_backup
        network.change(FIRST, served.host, down=True)
        await upload(connection, 1_000_000)
        assert network.counters(SECOND, served.host).delivered_bytes > 1_000_000
        network.change(FIRST, served.host, down=False)
        await connection.set_path_backup(path, False)
        assert not next(each for each in await connection.paths() if each.id == path.id).is_backup


@simulated(seed=12, link=PATHS)
async def test_a_stream_keeps_to_its_path(network: SimulatedNetwork):
    async with serving(network, max_paths=2) as served, served.connect(max_paths=2) as connection:
        path = await connection.add_path(SECOND)
        before = network.counters(FIRST, served.host).delivered_bytes
        stream = await connection.open_stream()
        stream.set_path(path)
        await stream.write(pattern(1_000_000), end_stream=True)
        assert await stream.read_all() == b"1000000"
        assert network.counters(SECOND, served.host).delivered_bytes > 900_000
        assert network.counters(FIRST, served.host).delivered_bytes - before < 100_000


@simulated(seed=13, link=PATHS)
async def test_moving_with_several_paths(network: SimulatedNetwork):
    async with serving(network, max_paths=3) as served, served.connect(max_paths=3) as connection:
        await connection.add_path()
        path = await connection.migrate(SECOND)
        await upload(connection, 1_000_000)
        await asyncio.sleep(5)
        assert [each.id for each in await connection.paths()] == [path.id]
        assert connection.local_address[0] == SECOND


@simulated(seed=14, link=PATHS)
async def test_a_nat_that_moves_under_one_of_two_paths(network: SimulatedNetwork):
    async with serving(network, max_paths=2) as served, served.connect(max_paths=2) as connection:
        path = await connection.add_path(SECOND)
        await upload(connection, 100_000)
        events = served.connections[0].path_events()
        network.rebind(path.local_address, (SECOND, 1234))
        await upload(connection, 3_000_000)
        event = await anext(events)
        assert event.path.peer_address == (SECOND, 1234)


# ---- a server's preferred address ----


@simulated(seed=15, link=PATHS)
async def test_clients_follow_to_the_preferred_address(network: SimulatedNetwork):
    """RFC 9000 section 9.6; the address that clients come to at first may vanish behind them."""
    network.host("server", "10.8.0.1", "10.8.1.1")
    async with (
        serving(network, preferred_addresses=[("10.8.1.1", 4433)]) as served,
        served.connect() as connection,
    ):
        assert connection.peer_address == ("10.8.0.1", 443)
        event = await anext(connection.path_events())
        assert (event.kind, event.path.peer_address) == ("available", ("10.8.1.1", 4433))
        assert connection.peer_address == ("10.8.1.1", 4433)
        network.change("10.8.0.1", served.client_host, down=True)
        await upload(connection, 1_000_000)
        assert served.connections[0].local_address == ("10.8.1.1", 4433)
        await connection.migrate(SECOND)
        await upload(connection, 10_000)


@simulated(seed=16)
async def test_a_preferred_address_of_another_host(network: SimulatedNetwork):
    with pytest.raises(BindError, match="no address of this simulated host"):
        async with serving(network, preferred_addresses=[("10.7.0.1", 4433)]):
            pass


@pytest.mark.parametrize(
    "wrong",
    [
        [("server", 443)],
        [("0.0.0.0", 443)],
        [("192.0.2.1", 0)],
        [("192.0.2.1", "443")],
        ["192.0.2.1"],
        ("192.0.2.1", 443),
        7,
    ],
)
def test_preferred_addresses_are_checked(wrong: Any):
    with pytest.raises(ConfigurationError, match="preferred_addresses are IP literals and ports"):
        aiopquic.QuicConfiguration(is_client=False, preferred_addresses=wrong)


def test_preferred_addresses_are_few_and_a_servers():
    four, six = ("192.0.2.1", 443), ("2001:db8::1", 443)
    aiopquic.QuicConfiguration(is_client=False, preferred_addresses=[six, four])
    for wrong in ([], [six], [four, ("192.0.2.2", 443)], [four, ("2001:db8::1", 444)]):
        with pytest.raises(ConfigurationError, match="an IPv4 address, and at most an IPv6 address"):
            aiopquic.QuicConfiguration(is_client=False, preferred_addresses=wrong)
    with pytest.raises(ConfigurationError, match="for servers"):
        aiopquic.QuicConfiguration(preferred_addresses=[("192.0.2.1", 443)])
    with pytest.raises(ConfigurationError, match="max_paths is 1 to 8 paths"):
        aiopquic.QuicConfiguration(max_paths=9)

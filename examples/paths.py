"""Hosts with two interfaces, and NATs that move: on a simulated network, where a test would have them too.

Runs by itself: ``python examples/paths.py``.
"""

import asyncio

import aiopquic
from aiopquic.testing.simnet import Link, SimulatedNetwork

FIRST, SECOND = "10.9.0.1", "10.9.1.1"
SERVER = "10.8.0.1", "10.8.0.2"
ALPN = ["example"]
MOBILE = Link(mbps=20, delay=0.02)


class World:
    """A server on one host; a client's host with two interfaces."""

    def __init__(self):
        self.network = SimulatedNetwork(seed=1, link=MOBILE)
        self.server, self.client = self.network.host("server", *SERVER), self.network.host("mobile", FIRST, SECOND)
        self.certificate, self.key = self.network.certificate()
        self.theirs = None

    async def handle(self, connection):
        self.theirs = connection
        async for stream in connection.incoming_streams(bidirectional=True):
            await stream.write(str(len(await stream.read_all(limit=1 << 26))).encode(), end_stream=True)

    async def serve(self, **settings):
        files = {"certificate": self.certificate, "private_key": self.key}
        with self.server:
            return await aiopquic.serve(self.handle, self.server.address, 443, alpn=ALPN, **files, **settings)

    def connect(self, **settings):
        return aiopquic.connect(
            self.server.address, 443, alpn=ALPN, cafile=self.certificate, server_name="server", **settings
        )


async def upload(client, length, path=None):
    stream = await client.open_stream()
    if path is not None:
        stream.set_path(path)
    await stream.write(bytes(length), end_stream=True)
    return int(await stream.read_all())


async def migration(world):
    """The transfer goes on from the other interface, and the first one may go."""
    async with await world.serve(), world.connect() as client:
        transfer = asyncio.create_task(upload(client, 3_000_000))
        await asyncio.sleep(0.5)
        await client.migrate(SECOND)
        world.network.change(FIRST, world.server, down=True)
        print("moved to", client.local_address[0], "with", await transfer, "bytes arrived")


async def nat_rebinding(world):
    """A NAT gives the client another port: the server follows, and tells of it."""
    async with await world.serve(), world.connect() as client:
        await client.ping()
        world.network.rebind(client.local_address, (FIRST, 55555))
        await upload(client, 100_000)
        print("the server sees port", world.theirs.peer_address[1])


async def preferred_address(world):
    """Clients arrive at one address and go on at another one, of the one server that they have come to."""
    async with await world.serve(preferred_addresses=[(SERVER[1], 443)]), world.connect() as client:
        before = client.peer_address[0]
        await upload(client, 100_000)
        print("from", before, "to", client.peer_address[0])


async def multipath(world):
    """Both interfaces at once; a stream that keeps to one; one as a reserve; one less."""
    async with await world.serve(max_paths=2), world.connect(max_paths=2) as client:
        start = world.network.time
        await upload(client, 3_000_000)
        alone = world.network.time - start
        second = await client.add_path(SECOND)
        start = world.network.time
        await upload(client, 3_000_000)
        print("two paths are faster than one:", world.network.time - start < alone)
        await upload(client, 10_000, second)
        await client.set_path_backup(second)
        await client.abandon_path(second)
        await asyncio.sleep(1)
        print("paths:", len(await client.paths()))


async def path_events(world):
    """What happens to the paths, as it happens."""
    async with await world.serve(), world.connect() as client:
        events = client.path_events()
        await client.migrate(SECOND)
        event = await anext(events)
        print("path event:", event.kind, event.path.local_address[0])


async def main_of(show, world):
    with world.client:
        await show(world)


for show in (migration, nat_rebinding, preferred_address, multipath, path_events):
    world = World()
    world.network.run(main_of(show, world))

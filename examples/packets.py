"""What packets do below the streams: ECN marks, what an address that is not proven gets, connection ids, pings.

On a simulated network, where a test would have them too. Runs by itself: ``python examples/packets.py``.
"""

import asyncio

import aiopquic
from aiopquic.asyncio import QuicConnectionProtocol
from aiopquic.asyncio import connect as connect_protocol
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.events import ConnectionIdIssued, ConnectionIdRetired, PingAcknowledged
from aiopquic.testing.simnet import Link, SimulatedNetwork

ALPN = ["example"]
MARKING = Link(mbps=10, delay=0.02, queue_bytes=200_000, mark_bytes=20_000)
"Marks what waits behind 20 kB, instead of dropping it."


class World:
    """A server on one host, and a client on another."""

    def __init__(self, link):
        self.network = SimulatedNetwork(seed=1, link=link)
        self.server, self.client = self.network.host("server"), self.network.host("localhost")
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
        return aiopquic.connect("server", 443, alpn=ALPN, cafile=self.certificate, **settings)


async def ecn(world):
    """A controller that heeds marks slows down before a packet is lost."""
    async with await world.serve(), world.connect(congestion_control_algorithm="cubic") as client:
        stream = await client.open_stream()
        await stream.write(bytes(2_000_000), end_stream=True)
        await stream.read_all()
        theirs, ours = await world.theirs.stats(), await client.stats()
        print("packets marked:", theirs.ecn_ce_received > 0, "- told to us:", ours.ecn_ce_reported > 0)
        print("packets lost:", ours.packets_lost)


async def amplification(world):
    """To a client that never answers goes three times what came from it, at most."""
    world.network.link(world.server, world.client, Link(down=True), back=Link(delay=0.02))
    async with await world.serve(handshake_timeout=5):
        try:
            await world.connect(handshake_timeout=5)
        except aiopquic.HandshakeTimeoutError:
            came = world.network.counters(world.client, world.server).delivered_bytes
            sent = world.network.counters(world.server, world.client).sent_bytes
            print("something was sent:", sent > 0, "- at most three times what came:", sent <= 3 * came)


class Watching(QuicConnectionProtocol):
    """Counts connection ids, and hears when its ping is acknowledged."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.issued, self.retired = [], []
        self.pinged = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        match event:
            case ConnectionIdIssued(connection_id=one):
                self.issued.append(one)
            case ConnectionIdRetired(connection_id=one):
                self.retired.append(one)
            case PingAcknowledged(uid=7):
                self.pinged.set_result(world.network.time)


async def connection_ids_and_pings(world):
    """Each side gives the other ids to send to; who moves takes another one, so that nobody can tell it's the same."""
    configuration = QuicConfiguration(alpn_protocols=ALPN, cafile=world.certificate)
    async with (
        await world.serve(),
        connect_protocol("server", 443, configuration=configuration, create_protocol=Watching) as client,
    ):
        start = world.network.time
        client._quic.send_ping(7)
        print("ping acknowledged after", round(await client.pinged - start, 2), "s")
        await client._quic.migrate()
        await client.ping()
        await asyncio.sleep(1)
        print("ids issued:", len(client.issued), "- retired when we moved:", len(client.retired) > 0)


async def main_of(show, world):
    with world.client:
        await show(world)


for show in (ecn, amplification, connection_ids_and_pings):
    world = World(MARKING if show is ecn else Link(delay=0.05))
    world.network.run(main_of(show, world))

"""What QUIC carries, and how a program chooses among its ways. Runs by itself: ``python examples/transport.py``."""

import asyncio

import aiopquic
from aiopquic.quic.configuration import QUIC_V1, QUIC_V2
from aiopquic.testing import dev_certificate

CERTIFICATE = dev_certificate()
ALPN = ["example"]


async def echo(connection):
    async with asyncio.TaskGroup() as group:
        group.create_task(echo_datagrams(connection))
        async for stream in connection.incoming_streams(bidirectional=True):
            group.create_task(echo_stream(stream))


async def echo_datagrams(connection):
    async for datagram in connection.incoming_datagrams():
        await connection.send_datagram(datagram)


async def echo_stream(stream):
    try:
        await stream.write(await stream.read_all(), end_stream=True)
    except aiopquic.StreamResetError as error:
        print("the client gave up a stream with code", error.error_code)
        stream.reset(error.error_code)


def serve(handle=echo, **settings):
    files = {"certificate": CERTIFICATE.certificate_pem, "private_key": CERTIFICATE.private_key_pem}
    return aiopquic.serve(handle, "127.0.0.1", 0, alpn=ALPN, **files, **settings)


def connect(server, **settings):
    return aiopquic.connect("127.0.0.1", server.port, alpn=ALPN, cadata=CERTIFICATE.certificate_pem, **settings)


async def datagrams():
    """Sent once, in any order, with a word about what became of them; here in front of every stream."""
    async with serve() as server, connect(server, datagram_priority=0) as client:
        fate = await client.send_datagram(b"quick", track=True)
        print("datagram back:", await client.receive_datagram(), "of", client.max_datagram_size, "at most")
        print("its fate:", await fate.wait())


async def resets_and_priorities():
    """0 is sent first, 255 last; a reset takes a code along."""
    async with serve() as server, connect(server) as client:
        urgent, other = await client.open_stream(), await client.open_stream()
        urgent.priority = 0
        await urgent.write(b"urgent", end_stream=True)
        await other.write(b"never mind")
        other.reset(7)
        print("stream back:", await urgent.read_all())
        try:
            await other.read_all()
        except aiopquic.StreamResetError as error:
            print("reset in return with code", error.error_code)


async def choices():
    """Version 2, congestion control, acknowledgements, sizes and timers by setting."""
    settings = {
        "supported_versions": [QUIC_V2, QUIC_V1],
        "congestion_control_algorithm": "bbr",
        "congestion_control_options": "T100000",
        "max_congestion_window": 1 << 20,
        "ack_frequency": False,
        "spin_bit": False,
        "connection_id_length": 12,
        "pmtud": "delayed",
        "keep_alive_interval": 5,
        "idle_timeout": 20,
    }
    async with serve() as server, connect(server, **settings) as client:
        print("version 2:", client.version == QUIC_V2, "- a ping takes less than a second:", await client.ping() < 1)


async def the_door():
    """A server decides about clients before their handshake, by name; the others are bounded."""

    def decide(incoming):
        if not incoming.is_address_validated:
            return aiopquic.Decision.RETRY
        return aiopquic.Decision.ACCEPT if incoming.server_name == "localhost" else aiopquic.Decision.REFUSE

    limits = {"max_connections": 100, "half_open_limit": 10, "handshake_timeout": 5}
    async with serve(incoming=decide, stateless_reset_secret=b"16 secret bytes!", **limits) as server:
        async with connect(server, server_name="localhost"):
            print("localhost is in")
        try:
            await connect(server, server_name="stranger.example")
        except aiopquic.ServerRefusedError as error:
            print(error)


async def main():
    for show in (datagrams, resets_and_priorities, choices, the_door):
        await show()


asyncio.run(main())

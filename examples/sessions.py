"""Clients that come back: sessions that are resumed, data in the first packet, addresses that are proven already.

Runs by itself: ``python examples/sessions.py``.
"""

import asyncio

import aiopquic
from aiopquic.testing import dev_certificate

CERTIFICATE = dev_certificate()
ALPN = ["example"]


async def echo(connection):
    async for stream in connection.incoming_streams(bidirectional=True):
        await stream.write(await stream.read_all(), end_stream=True)


def serve(handler=echo, **settings):
    files = {"certificate": CERTIFICATE.certificate_pem, "private_key": CERTIFICATE.private_key_pem}
    return aiopquic.serve(handler, "127.0.0.1", 0, alpn=ALPN, **files, **settings)


async def visit(server, **settings):
    """One connection that sends before its handshake ends; its engine ends with it, and learns for the next one."""
    connection = aiopquic.connect(
        "127.0.0.1", server.port, alpn=ALPN, cadata=CERTIFICATE.certificate_pem, wait_connected=False, **settings
    )
    async with connection as client:
        stream = await client.open_stream()
        await stream.write(b"hello", end_stream=True)
        await stream.read_all()
        await client.wait_connected()
        facts = client.session_resumed, client.early_data_accepted
    await aiopquic.close_idle_engines()
    return facts


async def resumption():
    """A SessionStore keeps tickets in memory; ``session_ticket_file="tickets"`` would do so in a file."""
    store = aiopquic.SessionStore()
    async with serve() as server:
        print("resumed:", [(await visit(server, session_store=store))[0] for _ in range(2)])


async def early_data():
    """A server takes 0-RTT data only when it is told to: an attacker can replay it."""
    for accepts in (True, False):
        store = aiopquic.SessionStore()
        async with serve(early_data=accepts) as server:
            await visit(server, session_store=store)
            print("early data accepted:", (await visit(server, session_store=store))[1])


async def early_answers():
    """Handlers that begin with the early data answer a round trip earlier, perhaps to a recording of it.

    What must not be done twice waits for the end of the handshake, which nobody reaches with a recording.
    """
    order = []

    async def handle(connection):
        async for stream in connection.incoming_streams(bidirectional=True):
            await stream.write(await stream.read_all(), end_stream=True)
            order.append("answered")
            await connection.wait_connected()
            order.append("known to be there")

    store = aiopquic.SessionStore()
    async with serve(handle, early_data=True, wait_connected=False) as server:
        for _ in range(2):
            await visit(server, session_store=store)
    print("with the first data:", ", ".join(order[2:]))


async def address_tokens():
    """With a token of its first connection a client is not sent a second Retry."""
    async with serve(retry=True) as server:
        for _ in range(3):
            await visit(server)
        print("Retry packets for three visits:", server.stats().incoming_retried)


async def ticket_key():
    """Servers with one key take each other's tickets: those of several processes, or of one after its restart."""
    store = aiopquic.SessionStore()
    for _ in range(2):
        async with serve(session_ticket_key=b"32 bytes, from os.urandom(32)..!") as server:
            print("resumed:", (await visit(server, session_store=store))[0])


async def main():
    for show in (resumption, early_data, early_answers, address_tokens, ticket_key):
        await show()


asyncio.run(main())

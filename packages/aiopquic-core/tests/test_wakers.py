"""The other ways to wake and to loop, which other systems need, work here too."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from .certificates import Certificates

WAYS = {
    "eventfd, the loop for this system": {},
    "pipe": {"AIOPQUIC_WAKER": "pipe"},
    "portable loop": {"AIOPQUIC_LOOP": "portable"},
    "pipe and portable loop": {"AIOPQUIC_WAKER": "pipe", "AIOPQUIC_LOOP": "portable"},
    "one datagram at a time": {"AIOPQUIC_WITHOUT": "gso,gro,joining"},
}


@pytest.mark.parametrize("way", WAYS)
def test_transfer(certificates: Certificates, way: str):
    """16 MiB each way and 2000 streams cross, the descriptor is what was asked for, and nothing is left."""
    program = f"""
        import asyncio, gc, hashlib, os, sys
        from aiopquic._binding._engine import live_counts
        from aiopquic.asyncio import connect, serve
        from aiopquic.quic.configuration import QuicConfiguration

        async def echo(reader, writer):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
            writer.close()

        async def exchange(client, payload):
            reader, writer = await client.create_stream()
            received = hashlib.sha256()

            async def send():
                for begin in range(0, len(payload), 1 << 16):
                    writer.write(payload[begin : begin + (1 << 16)])
                    await writer.drain()
                writer.close()

            sender = asyncio.create_task(send())
            while data := await reader.read(1 << 16):
                received.update(data)
            await sender
            assert received.digest() == hashlib.sha256(payload).digest()

        async def main():
            served = QuicConfiguration(is_client=False, alpn_protocols=["wake"])
            served.load_cert_chain({str(certificates.good.cert)!r}, {str(certificates.good.key)!r})
            asked = QuicConfiguration(alpn_protocols=["wake"], cafile={str(certificates.good.cert)!r})
            async with await serve("127.0.0.1", 0, configuration=served, stream_handler=echo) as server:
                async with connect("127.0.0.1", server.port, configuration=asked) as client:
                    if os.path.isdir("/proc/self/fd"):
                        print(os.readlink("/proc/self/fd/%d" % client._quic.eventfd))
                    await exchange(client, os.urandom(16 << 20))
                    for _ in range(40):
                        await asyncio.gather(*(exchange(client, b"%d" % number) for number in range(50)))

        asyncio.run(main())
        gc.collect()
        assert not any(live_counts().values()), live_counts()
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIOPQUIC_")}
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(program)],
        env=environment | WAYS[way],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stderr == ""
    assert result.returncode == 0
    if sys.platform == "linux":
        assert result.stdout.startswith("pipe:" if "AIOPQUIC_WAKER" in WAYS[way] else "anon_inode:[eventfd]")

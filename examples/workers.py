"""A server with two network threads on one port, some clients of it, and which worker served how many.

python examples/workers.py
"""

from __future__ import annotations

import asyncio
import tempfile

import aiopquic
from aiopquic.testing.certificates import dev_certificate

CLIENTS = 32


async def handle(conn: aiopquic.Connection) -> None:
    """One connection; which worker has it makes no difference here."""
    async for stream in conn.incoming_streams(bidirectional=True):
        async with stream:
            await stream.write(await stream.read_all(limit=1 << 20))


async def visit(port: int, certificate: str, number: int) -> None:
    async with aiopquic.connect("localhost", port, alpn=["echo"], cafile=certificate) as conn:
        stream = await conn.open_stream()
        await stream.write(f"client {number}".encode(), end_stream=True)
        assert await stream.read_all(limit=100) == f"client {number}".encode()


async def main(folder: str) -> None:
    certificate, key = map(str, dev_certificate().write(folder))
    async with aiopquic.serve(
        handle, "localhost", 0, alpn=["echo"], certificate=certificate, private_key=key, workers=2
    ) as server:
        await asyncio.gather(*(visit(server.port, certificate, number) for number in range(CLIENTS)))
        stats = server.stats()
        for worker in stats.workers:
            print(f"worker {worker.worker} served {worker.handshakes} clients")
        print(f"{stats.handshakes} in all, {stats.datagrams_misrouted} packets were handed over")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(directory))

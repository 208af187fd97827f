"""Sends back what it gets, on every stream that a client opens, until Ctrl-C.

aiopquic certificate certificates
python examples/echo_server.py certificates [PORT]
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import aiopquic


async def echo(stream: aiopquic.Stream) -> None:
    """One stream. ``write`` waits for a client that does not read, and the client then waits for us."""
    try:
        async with stream:
            async for chunk in stream:
                await stream.write(chunk)
    except aiopquic.StreamError as error:
        print(f"a stream ended early: {error}", file=sys.stderr)


async def handle(conn: aiopquic.Connection) -> None:
    """One connection, in a task of its own, until it closes."""
    async with asyncio.TaskGroup() as group:
        async for stream in conn.incoming_streams(bidirectional=True):
            group.create_task(echo(stream))


async def main(folder: Path, port: int) -> None:
    files = {"certificate": folder / "certificate.pem", "private_key": folder / "key.pem"}
    async with aiopquic.serve(handle, "::", port, alpn=["echo"], max_streams_uni=0, **files) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 4433))

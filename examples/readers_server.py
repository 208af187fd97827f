"""Sends back what it gets, on every stream that a client opens, until Ctrl-C.

aiopquic certificate certificates
python examples/readers_server.py certificates [PORT]
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio import StreamReader, StreamWriter
from pathlib import Path

from aiopquic.asyncio import serve
from aiopquic.exceptions import QuicConnectionError, StreamError
from aiopquic.quic.configuration import QuicConfiguration


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    """One stream. ``drain`` waits for a client that does not read, and the client then waits for us."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (StreamError, QuicConnectionError) as error:
        print(f"a stream ended early: {error}", file=sys.stderr)
    writer.close()


async def main(folder: Path, port: int) -> None:
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["echo"])
    configuration.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    async with await serve("::", port, configuration=configuration, stream_handler=echo) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 4433))

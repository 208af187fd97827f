"""``serve``: a folder on a UDP port until somebody ends it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiopquic.asyncio import QuicServer
from aiopquic.asyncio import serve as serve_quic
from aiopquic.cli.errors import UsageProblem, problem_of
from aiopquic.cli.outcome import cpu_seconds
from aiopquic.cli.paths import printable
from aiopquic.cli.protocol import ALPN
from aiopquic.cli.server import MAX_REQUESTS, FileServerProtocol, Folder
from aiopquic.quic.configuration import QuicConfiguration

__all__ = ["ServerOptions", "serve"]


@dataclass(slots=True, kw_only=True)
class ServerOptions:
    """What to serve, where, and how."""

    folder: Path
    host: str
    port: int
    certificate: Path
    key: Path
    is_writable: bool = False
    congestion_control: str = "bbr1"
    keylog: Path | None = None
    max_connections: int = 64
    workers: int = 1
    verbose: bool = False
    as_json: bool = False
    "Tell programs instead of people: JSON objects, a line each, on stdout."

    def configuration(self) -> QuicConfiguration:
        """The same for the library."""
        return QuicConfiguration(
            is_client=False,
            alpn_protocols=[ALPN],
            certificate_file=self.certificate,
            private_key_file=self.key,
            congestion_control_algorithm=self.congestion_control,
            secrets_log_file=self.keylog,
            max_connections=self.max_connections,
            max_streams_bidi=MAX_REQUESTS,
            max_streams_uni=0,
        )


async def serve(options: ServerOptions) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        Problem: with the sentence for the user.
    """
    if not options.folder.is_dir():
        raise UsageProblem(f"{printable(str(options.folder))}: no such folder")
    teller = _Teller(options)
    folder = Folder(
        options.folder.resolve(), is_writable=options.is_writable, log=teller.request, on_closed=teller.closed
    )
    server = await _bind(options, partial(FileServerProtocol, folder))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.close)
    teller.listening(server)
    await server.wait_closed()


async def _bind(options: ServerOptions, create_protocol: Callable[..., FileServerProtocol]) -> QuicServer:
    try:
        return await serve_quic(
            options.host,
            options.port,
            configuration=options.configuration(),
            create_protocol=create_protocol,
            workers=options.workers,
        )
    except Exception as error:
        problem = problem_of(error, f"{options.host} port {options.port}")
        if problem is None:
            raise
        raise problem from error


class _Teller:
    """What a server says on stdout."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._cpu = cpu_seconds()

    def listening(self, server: QuicServer) -> None:
        """The port is open."""
        if self._options.as_json:
            self._json(event="listening", port=server.port, addresses=[host for host, _ in server.addresses])
            return
        access = "writable" if self._options.is_writable else "read-only"
        places = ", ".join(f"{host} port {port}" for host, port in server.addresses)
        self._line(f"serving {printable(str(self._options.folder))} ({access}) on {places}; Ctrl-C ends it")

    def request(self, line: str) -> None:
        """A request has ended."""
        if self._options.verbose and not self._options.as_json:
            self._line(line)

    def closed(self, connection: FileServerProtocol) -> None:
        """A connection has ended. The CPU seconds are those of the whole process since the last one."""
        now = cpu_seconds()
        if self._options.as_json:
            self._json(
                event="closed",
                files=connection.files,
                bytes_in=connection.bytes_in,
                bytes_out=connection.bytes_out,
                cpu_seconds=now - self._cpu,
            )
        else:
            address = connection._quic.peer_address() or ("?", 0)
            self._line(
                f"{address[0]} port {address[1]} is gone: {connection.files} files, "
                f"{connection.bytes_in} bytes in, {connection.bytes_out} bytes out"
            )
        self._cpu = now

    def _json(self, **fields: Any) -> None:
        self._line(json.dumps(fields))

    def _line(self, text: str) -> None:
        print(text, file=sys.stdout, flush=True)

"""Serves the page over HTTP, gives it its settings, and takes its report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".js": "text/javascript"}


class Web:
    """``http://localhost:port`` and ``http://127.0.0.1:port``: two origins, one server."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.report: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.port = 0

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def foreign_origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, method: str, target: str, body: bytes) -> tuple[str, str, bytes]:
        if (method, target) == ("POST", "/report"):
            if not self.report.done():
                self.report.set_result(json.loads(body))
            return "204 No Content", "text/plain", b""
        if target == "/settings":
            return "200 OK", "application/json", json.dumps(self.settings).encode()
        file = PAGE / (target.lstrip("/") or "index.html")
        if file.parent != PAGE or not file.is_file():
            return "404 Not Found", "text/plain", b"not here"
        return "200 OK", TYPES[file.suffix], file.read_bytes()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            method, target, _ = (await reader.readline()).decode().split()
            length = 0
            while (line := (await reader.readline()).decode().strip()) != "":
                name, _, value = line.partition(":")
                if name.lower() == "content-length":
                    length = int(value)
            status, kind, body = self.answer(method, target, await reader.readexactly(length))
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
        except (ValueError, ConnectionError, asyncio.IncompleteReadError):
            pass  # a connection that was opened in advance, and not used
        finally:
            writer.close()


@asynccontextmanager
async def serving() -> AsyncIterator[Web]:
    web = Web()
    server = await asyncio.start_server(web._handle, ["127.0.0.1", "::1"], 0)
    port = server.sockets[0].getsockname()[1]
    if len({s.getsockname()[1] for s in server.sockets}) > 1:
        # A name may mean either address: both listen on one port.
        server.close()
        server = await asyncio.start_server(web._handle, "127.0.0.1", port)
    web.port = port
    async with server:
        yield web

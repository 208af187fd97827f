"""As much of HTTP/1.1 as it takes to hand a page to a browser on the same host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["serve_page"]

_ANSWER = (
    "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n"
    "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
)


async def serve_page(page: Callable[[], str], host: str, port: int) -> asyncio.Server:
    """Answer every ``GET /`` with what ``page`` returns."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                line = await reader.readline()
                while (await reader.readline()).strip():
                    pass
                is_page = line.split()[:2] == [b"GET", b"/"]
                status, content = ("200 OK", page().encode()) if is_page else ("404 Not Found", b"")
                writer.write(_ANSWER.format(status=status, length=len(content)).encode() + content)
                await writer.drain()
        except (TimeoutError, ValueError, OSError):
            pass  # a browser that went away, or something that is none
        finally:
            writer.close()

    return await asyncio.start_server(answer, host, port)

"""A server's sessions by stream ids and events."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, cast

from aiopquic.exceptions import ConfigurationError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.engine import QuicEngine
from aiopquic.streams.server import Server, serve
from aiopquic_webtransport.compat.events import EventSession
from aiopquic_webtransport.compat.session import WebTransportSession
from aiopquic_webtransport.compat.state import WebTransportSessionState
from aiopquic_webtransport.origins import OriginRule
from aiopquic_webtransport.request import Request
from aiopquic_webtransport.server import WebTransport

__all__ = ["WebTransportServer", "WebTransportServerSession", "event_protocol", "serve_webtransport"]

SessionFactory = Callable[[Any, WebTransportSessionState], WebTransportSession]


class WebTransportServerSession(WebTransportSession):
    """A session that a client has asked for; ``session_factory`` may make one of a subclass."""

    def __init__(self, transport: Any, state: WebTransportSessionState) -> None:
        super().__init__(transport, "server", state)


class WebTransportServer:
    """A running server. Made by :func:`serve_webtransport`; an async context manager that closes it."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def port(self) -> int:
        """The UDP port, also when 0 was asked for."""
        return self._server.port

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses and ports that are bound."""
        return self._server.addresses

    @property
    def _transport(self) -> Any:
        return self._server._engine._transport

    def close(self) -> None:
        """Close every session and the sockets; :meth:`aclose` waits for it."""
        self._server.close()

    async def aclose(self) -> None:
        """Close, and wait until it is done. Cancellation: safe."""
        await self._server.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def event_protocol(
    path: str,
    handler: Callable[[Any], Any],
    factory: SessionFactory | None,
    protocols: Sequence[str] | None,
    origins: OriginRule,
) -> WebTransport:
    """WebTransport on one path, or on every path when that is empty, whose sessions are made by ``factory``."""
    make = factory if factory is not None else WebTransportServerSession

    async def app(request: Request) -> None:
        if path and request.path != path:
            await request.reject(404)
            return
        session = await request.accept()
        assert isinstance(session, EventSession)
        transport = cast(QuicEngine, session.quic._binding.engine.sink)._transport
        result = handler(make(transport, WebTransportSessionState._of(transport, session)))
        if inspect.isawaitable(result):
            await result
        await session.closed  # a handler may leave the session to what it has started

    protocol = WebTransport(app, origins=origins, protocols=protocols or ())
    protocol._make_session = EventSession
    return protocol


async def serve_webtransport(
    host: str | None,
    port: int,
    path: str,
    *,
    handler: Callable[[Any], Any],
    cert_file: str | None = None,
    key_file: str | None = None,
    transport: Any = None,
    session_factory: SessionFactory | None = None,
    configuration: QuicConfiguration | None = None,
    wt_supported_protocols: Sequence[str] | None = None,
    web_folder: str | None = None,
    origins: OriginRule = None,
) -> WebTransportServer:
    """Serve sessions on one path, or on every path when that is empty.

    ``handler`` is called with each session, and may be a coroutine function; the session lives on when it returns, and
    is closed when it raises. A client that offers application protocols gets its first of ``wt_supported_protocols``,
    and is refused when none is there. ``origins`` are those of :func:`aiopquic_webtransport.serve`: pages of the same
    origin, unless more are given.

    Raises:
        ConfigurationError, BindError, socket.gaierror: as :func:`aiopquic.serve`.
    """
    del transport  # every server has its own
    if web_folder is not None:
        raise ConfigurationError("web_folder is not available here: serve files by an HTTP server beside this one")
    protocol = event_protocol(path, handler, session_factory, wt_supported_protocols, origins)
    server = await serve(
        None, host, port, protocols=[protocol], certificate=cert_file, private_key=key_file, configuration=configuration
    )
    return WebTransportServer(server)

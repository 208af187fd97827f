"""Serving WebTransport: an application protocol of a server of aiopquic, alone or beside others."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

from aiopquic import Server
from aiopquic import serve as serve_quic
from aiopquic.exceptions import ConfigurationError
from aiopquic.quic._identities import CertificateSource
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.incoming import IncomingCallback
from aiopquic.streams._hosting import Hosting
from aiopquic.streams._opening import Opening
from aiopquic.streams.settings import ServerSettings
from aiopquic_webtransport import _native
from aiopquic_webtransport._structured import serialize_strings
from aiopquic_webtransport._wire import H3_NO_ERROR, RawHeader
from aiopquic_webtransport.error_codes import MAX_CODE
from aiopquic_webtransport.exceptions import SessionClosedError
from aiopquic_webtransport.headers import Headers
from aiopquic_webtransport.http3 import Http3Connection
from aiopquic_webtransport.origins import OriginRule, origin_check
from aiopquic_webtransport.request import Request
from aiopquic_webtransport.routing import App, Router
from aiopquic_webtransport.session import Session

if TYPE_CHECKING:
    from aiopquic import Connection
    from aiopquic.quic.protocols import Connection as BindingConnection

__all__ = ["APP_FAILED", "WebTransport", "serve"]

logger = logging.getLogger("aiopquic.webtransport")

APP_FAILED = 0x1
"""The code with which a server closes a session whose application raised."""

#: What clients say in ``:protocol``: since draft 15, and before.
_TOKENS = ("webtransport-h3", "webtransport")

#: Seconds that a server which closes waits for its clients to end their sides.
_CLIENT_SECONDS = 1.0


class WebTransport:
    """WebTransport as one of the ``protocols`` of :func:`aiopquic.serve`, by the ALPN "h3".

    ::

        async with aiopquic.serve(echo, "::", 4433, alpn=["echo"], protocols=[WebTransport(app)], ...) as server:

    The same object may be given to several servers. For what its arguments mean see :func:`serve`.
    """

    alpn = "h3"

    def __init__(
        self,
        app: App | None = None,
        *,
        routes: Router | Mapping[str, App] | None = None,
        origins: OriginRule = None,
        protocols: Sequence[str] = (),
    ) -> None:
        if (app is None) == (routes is None):
            raise ConfigurationError('give either an application or routes={"/path": application}')
        if app is not None and not callable(app):
            raise ConfigurationError(f"the application is a coroutine function that takes a request, not {app!r}")
        if isinstance(protocols, str | bytes):
            raise ConfigurationError(f"protocols is a list of names: use [{protocols!r}]")
        serialize_strings(list(protocols))
        self._app = app
        self._router = routes if routes is None or isinstance(routes, Router) else Router(routes)
        self._is_allowed = origin_check(origins)
        self._protocols = tuple(protocols)
        self._make_session: type[Session] = Session
        self._hosts: weakref.WeakSet[_Host] = weakref.WeakSet()

    @property
    def native(self) -> object:
        """The half on the network thread."""
        return _native.protocol()

    def host(self, configuration: QuicConfiguration) -> _Host:
        """For one server."""
        if not configuration.max_datagram_frame_size:
            raise ConfigurationError("WebTransport needs datagrams: leave max_datagram_frame_size as it is")
        host = _Host(self, configuration)
        self._hosts.add(host)
        return host

    @property
    def sessions(self) -> list[Session]:
        """The open sessions, of every server that it was given to."""
        return [session for host in self._hosts for http3 in host.connections for session in http3.sessions]

    def _find(self, request: Request) -> App | int:
        """Who answers a request, or the status with which it is refused."""
        origin = request.origin
        if origin is not None and not self._is_allowed(origin, request.authority):
            return 403
        app = self._app
        if self._router is not None:
            found = self._router.find(request.path)
            if found is None:
                return 404
            app, request.path_params = found
        if self._protocols and not request._choose(self._protocols):
            return 400
        assert app is not None
        return app


class _Host:
    """The HTTP/3 connections of one server, and the tasks of their requests."""

    def __init__(self, protocol: WebTransport, configuration: QuicConfiguration) -> None:
        self._protocol = protocol
        self.connections: set[Http3Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._hosting = Hosting(self._run, configuration, self._make_events)
        self._is_closing = False

    def accept(self, binding: BindingConnection) -> None:
        self._hosting.accept(binding)

    def close(self, code: int, reason: str) -> None:
        self._is_closing = True
        for http3 in self.connections:
            for session in http3.sessions:
                session.close(code if code <= MAX_CODE else 0, reason)
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        waits = [
            asyncio.ensure_future(session._finished.wait())
            for http3 in self.connections
            for session in http3._sessions.values()
        ]
        if waits:
            await asyncio.wait(waits, timeout=_CLIENT_SECONDS)
            for wait in waits:
                wait.cancel()
        self._hosting.close(H3_NO_ERROR, "")
        await self._hosting.wait_closed()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    def _make_events(self, connection: Connection) -> Http3Connection:
        http3 = Http3Connection(connection)
        http3.on_request = self._request
        http3.on_closed = lambda _: self.connections.discard(http3)
        self.connections.add(http3)
        return http3

    async def _run(self, connection: Connection) -> None:
        await connection.wait_closed()

    # ---- requests ----

    def _request(self, http3: Http3Connection, request_id: int, raw: list[RawHeader]) -> None:
        """From the drain: a client asks for something."""
        pseudo = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw if name.startswith(b":")}
        status = 503 if self._is_closing else _judge(pseudo)
        if status:
            http3._respond(request_id, status, [])
            return
        session = self._protocol._make_session(http3, request_id, pseudo[":path"], pseudo[":authority"])
        http3._sessions[request_id] = session
        request = Request(http3, session, pseudo, Headers(raw))
        found = self._protocol._find(request)
        if isinstance(found, int):
            request._answer(found, [])
            return
        task = asyncio.get_running_loop().create_task(self._answer(found, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, app: App, request: Request) -> None:
        """The application, from the request to the end of its session."""
        session = request._session
        try:
            result = app(request)
            if not hasattr(result, "__await__"):
                raise TypeError(f"the application returned {result!r}: it has to be a coroutine function (async def)")
            await result
            if request._is_answered:
                await session.aclose()
            elif not session.is_closed:
                logger.error("the application of %r returned without accept() or reject()", request)
                request._answer(404, [])
        except Exception as error:
            if _is_end_of(session, error):
                logger.debug("the application of %r ended with its session: %s", request, error)
                return
            logger.error("the application of %r raised", request, exc_info=error)
            if request._is_answered:
                session.close(APP_FAILED, "the application failed")
            else:
                request._answer(500, [])
        finally:
            if not request._is_answered:
                request._answer(503, [])
            session.close()


def _judge(pseudo: Mapping[str, str]) -> int:
    """The status that refuses what is no wish for a session; 0 for one."""
    if pseudo.get(":method") != "CONNECT" or ":protocol" not in pseudo:
        return 404  # a request of plain HTTP/3: nothing is served here
    if pseudo[":protocol"] not in _TOKENS:
        return 501  # RFC 9220 section 3
    is_whole = pseudo.get(":scheme") == "https" and pseudo.get(":authority") and pseudo.get(":path", "").startswith("/")
    return 0 if is_whole else 400


def _is_end_of(session: Session, error: BaseException) -> bool:
    """True when that is how an application learns of the end of its own session; in a task group, too."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_end_of(session, inner) for inner in error.exceptions)
    return isinstance(error, SessionClosedError) and session.is_closed


def serve(
    app: App | None,
    host: str | None,
    port: int,
    *,
    routes: Router | Mapping[str, App] | None = None,
    origins: OriginRule = None,
    protocols: Sequence[str] = (),
    certificate: CertificateSource | None = None,
    private_key: CertificateSource | None = None,
    incoming: IncomingCallback | None = None,
    retry: bool = False,
    workers: int = 1,
    configuration: QuicConfiguration | None = None,
    **settings: Unpack[ServerSettings],
) -> Opening[Server]:
    """Serve WebTransport sessions on a UDP port.

    Use the result as ``async with serve(...) as server``, or ``server = await serve(...)``. To serve other protocols on
    the same port, give :class:`WebTransport` to :func:`aiopquic.serve`.

    ``app`` is called with each :class:`Request` in a task that the server owns. When it returns, the session is closed
    with code 0, after the peer has acknowledged the streams that were finished. When it raises, that is logged
    (``aiopquic.webtransport``), and the request is refused with status 500, or the session closed with
    :data:`APP_FAILED`; other sessions hear nothing of it. The end of its own session is no error.

    Args:
        app: a coroutine function; None where there are ``routes``.
        host: an address of this host, or a name for some; None, ``""`` and ``"::"`` bind the wildcard addresses.
        port: 0 lets the system choose; ``server.port`` tells.
        routes: applications by path, a mapping or a :class:`Router`; other paths are refused with status 404.
        origins: pages of which origins may ask: None those of the host and port that they ask, ``"*"`` all, or a list
            such as ``["https://example.org"]``. Others are refused with status 403. What sends no Origin is no browser,
            and is let in.
        protocols: the application protocols that the applications speak. The client's first among them is taken; a
            client that offers some, and none of them, is refused with status 400. Without it, ``accept(protocol=...)``
            decides.
        certificate: the certificate chain, the server's own first: a file, or its content as bytes; PEM or DER.
        private_key: its key in the same ways; None when it is in the same file.
        incoming: as for :func:`aiopquic.serve`: decides about each client before its handshake.
        retry: True has every client prove its address first, at the cost of a round trip.
        workers: how many engines share the port, as for :func:`aiopquic.serve`.
        configuration: settings to start from, with ``is_client=False``.
        settings: fields of :class:`~aiopquic.quic.configuration.QuicConfiguration`, laid over ``configuration``.

    Raises:
        ConfigurationError, BindError, socket.gaierror: as :func:`aiopquic.serve`.

    Cancellation: safe; what was begun is closed.
    """
    return serve_quic(
        None,
        host,
        port,
        protocols=[WebTransport(app, routes=routes, origins=origins, protocols=protocols)],
        certificate=certificate,
        private_key=private_key,
        incoming=incoming,
        retry=retry,
        workers=workers,
        configuration=configuration,
        **settings,
    )

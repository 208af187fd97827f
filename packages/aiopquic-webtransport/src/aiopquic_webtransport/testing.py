"""Fixtures for pytest: servers and sessions on the loopback interface.

A project takes them by one line of its top ``conftest.py``, behind those of core::

    pytest_plugins = ["aiopquic.testing.fixtures", "aiopquic_webtransport.testing"]
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from aiopquic import Server
from aiopquic.streams._opening import Opening
from aiopquic.testing.certificates import CertificateFiles
from aiopquic_webtransport import Request, Session, connect, serve
from aiopquic_webtransport.routing import App

__all__ = ["SessionPair", "WebTransportLoopback", "webtransport", "webtransport_pair"]

Path = str | os.PathLike[str]


class SessionPair(NamedTuple):
    """The two ends of one session, and the server."""

    client: Session
    peer: Session
    server: Server


class WebTransportLoopback:
    """Starts servers with a certificate, and clients that trust it.

    ``settings`` are those of :func:`aiopquic_webtransport.serve` and :func:`aiopquic_webtransport.connect`.
    """

    def __init__(self, certificate: Path, private_key: Path, *, host: str = "127.0.0.1") -> None:
        self.certificate = certificate
        self.private_key = private_key
        self.host = host

    def serve(self, app: App | None, **settings: Any) -> Opening[Server]:
        """A server on a port that the system chooses."""
        settings = {"certificate": self.certificate, "private_key": self.private_key, **settings}
        return serve(app, self.host, 0, **settings)

    def url(self, server: Server, path: str = "/") -> str:
        """Where its sessions are."""
        return f"https://{self.host}:{server.port}{path}"

    def connect(self, server: Server, path: str = "/", **settings: Any) -> Opening[Session]:
        """A session with that server."""
        if "server_certificate_hashes" not in settings:
            settings = {"cafile": self.certificate, **settings}
        return connect(self.url(server, path), **settings)

    @asynccontextmanager
    async def pair(
        self,
        path: str = "/",
        *,
        client: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
        accept: dict[str, Any] | None = None,
        **settings: Any,
    ) -> AsyncIterator[SessionPair]:
        """A session; ``settings`` go to both sides, ``accept`` to the server's ``accept()``."""
        accepted: asyncio.Future[Session] = asyncio.get_running_loop().create_future()

        async def app(request: Request) -> None:
            session = await request.accept(**(accept or {}))
            accepted.set_result(session)
            await session.closed

        async with (
            self.serve(app, **settings, **(server or {})) as running,
            self.connect(running, path, **settings, **(client or {})) as session,
        ):
            yield SessionPair(session, await accepted, running)


@pytest.fixture
def webtransport(quic_certificate: CertificateFiles) -> WebTransportLoopback:
    """Servers on 127.0.0.1 and clients that trust them, with any applications and settings."""
    return WebTransportLoopback(*quic_certificate)


@pytest_asyncio.fixture
async def webtransport_pair(webtransport: WebTransportLoopback) -> AsyncIterator[SessionPair]:
    """A session: ``webtransport_pair.client``, and ``peer`` on the server."""
    async with webtransport.pair() as pair:
        yield pair

"""What a server is in either API: an engine that listens, what is known of it, and how its end is waited for."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiopquic.quic._identities import CertificateSource, NamedCertificates
from aiopquic.quic.engine import QuicEngine

if TYPE_CHECKING:
    from aiopquic.quic.engine_stats import EngineStats
    from aiopquic.quic.incoming import IncomingCallback, IncomingDesk

__all__ = ["ListeningServer", "incoming_desk"]


def incoming_desk(callback: IncomingCallback | None, timeout: float) -> IncomingDesk | None:
    """Who asks the application about each client; None where it does not want to be asked."""
    if callback is None:
        return None
    from aiopquic.quic.incoming import IncomingDesk

    return IncomingDesk(callback, timeout=timeout)


class ListeningServer(ABC):
    """The part of a server that knows no connections. An async context manager that closes it.

    The loop is the running one; ``_engine`` is set by who makes it, ``_closed`` by who has closed everything.
    """

    _engine: QuicEngine

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()

    @abstractmethod
    async def aclose(self) -> None:
        """Close, and wait until it is done."""

    async def _start(self) -> None:
        try:
            self._engine.start()
            self._engine.attach(self._loop)
            await self._engine.wait_ready()
        except BaseException:
            await self._engine.aclose()
            raise

    @property
    def port(self) -> int:
        """The UDP port, also when 0 was asked for."""
        assert self._engine.port is not None
        return self._engine.port

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses and ports that are bound, one per family."""
        return [(host, self.port) for host in self._addresses]

    def stats(self) -> EngineStats:
        """The figures of the server's engine, of this moment; see also :mod:`aiopquic.metrics`."""
        return self._engine.stats()

    async def reload_certificate(
        self,
        certificate: CertificateSource | None = None,
        private_key: CertificateSource | None = None,
        password: str | bytes | None = None,
        *,
        certificates: NamedCertificates | None = None,
    ) -> None:
        """Present other certificates, to handshakes that begin when this has returned; open connections live on.

        Without arguments the files that the server was started with are read again.

        Args:
            certificate: a path or bytes, as for ``serve``; None leaves the one of before, read again.
            private_key: None when it is in the same file.
            password: of the private key.
            certificates: those with names; None leaves the ones of before, read again.

        Raises:
            CertificateFileError: one of them can't be used; nothing has changed.
            RuntimeError: the server is closed.

        Cancellation: the change is made or not; nothing else is left of it.
        """
        await self._engine.reload_certificate(certificate, private_key, password, certificates=certificates)

    async def wait_closed(self) -> None:
        """Wait until the server is closed, by whomever: every peer was told and the port is free.

        Cancellation: safe; nothing changes.
        """
        await self._closed.wait()

    async def serve_forever(self) -> None:
        """Wait until the server is closed. Cancellation: closes it, and waits for that."""
        try:
            await self._closed.wait()
        except asyncio.CancelledError:
            await self.aclose()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

"""What a server is in either API: engines that listen, what is known of them, and how their end is waited for."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiopquic.quic._identities import CertificateSource, NamedCertificates
from aiopquic.quic.engine import QuicEngine
from aiopquic.quic.workers import ServerEngines

if TYPE_CHECKING:
    from aiopquic.quic.engine_stats import ServerStats

__all__ = ["ListeningServer"]


class ListeningServer(ABC):
    """The part of a server that knows no connections. An async context manager that closes it.

    The loop is the running one; ``_engines`` is set by who makes it, ``_closed`` by who has closed everything.
    """

    _engines: ServerEngines

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()

    @abstractmethod
    async def aclose(self) -> None:
        """Close, and wait until it is done."""

    @property
    def _engine(self) -> QuicEngine:
        """The first one."""
        return self._engines.all[0]

    @property
    def port(self) -> int:
        """The UDP port, also when 0 was asked for."""
        return self._engines.port

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses and ports that are bound, one per family."""
        return [(host, self.port) for host in self._addresses]

    def stats(self) -> ServerStats:
        """The figures of this moment, summed up and of each worker; see also :mod:`aiopquic.metrics`."""
        return self._engines.stats()

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
        await self._engines.reload_certificate(certificate, private_key, password, certificates)

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

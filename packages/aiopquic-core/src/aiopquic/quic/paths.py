"""Paths of a connection: what both front ends offer of migration (RFC 9000 section 9) and multipath."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiopquic.exceptions import PathError
from aiopquic.quic.path_requests import LocalAddress, PathEvents, PathRequests

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection
    from aiopquic._paths import PathEvent, PathInfo
    from aiopquic._sinks import HandshakeInfo

__all__ = ["ConnectionPaths", "PathEvent", "PathInfo", "path_id"]


class ConnectionPaths:
    """The methods of a connection that are about its paths."""

    __slots__ = ()

    _paths: PathRequests
    _info: HandshakeInfo | None

    def _open_connection(self) -> Connection:
        """For a request; raises what its end means when it has ended."""
        raise NotImplementedError

    async def migrate(self, local_address: LocalAddress | None = None) -> PathInfo:
        """Client: go on from another local address, such as that of another interface (RFC 9000 section 9).

        The new path is tried first, and the connection moves when the peer has answered there; streams and datagrams go
        on. A connection with several paths (``max_paths``) adds one and abandons the others.

        Args:
            local_address: an IP literal, or one with a UDP port; None keeps the address and takes another port.

        Raises:
            PathError: the peer did not answer there, or does not let its clients move. The connection stays where it
                was, as with every other error but the last.
            BindError: (an OSError) the address is none of this host, or in use.
            ConfigurationError: not an IP literal.
            QuicConnectionError: the connection has ended.

        Cancellation: the attempt is given up, unless the peer has just answered.
        """
        connection = self._open_connection()
        if self._info is None or not self._info.has_multipath:
            return await self._paths.probe(connection, "migrate", local_address)
        path = await self._paths.probe(connection, "add", local_address)
        for other in await self._paths.list(connection):
            if other.id != path.id and not other.is_leaving:
                await self.abandon_path(other)
        return path

    async def add_path(
        self, local_address: LocalAddress | None = None, remote_address: tuple[str, int] | None = None
    ) -> PathInfo:
        """Client: one more path, used together with the others (draft-ietf-quic-multipath).

        Both sides need ``max_paths`` of 2 or more.

        Args:
            local_address: as for :meth:`migrate`.
            remote_address: an IP literal and a port of the server's; None is the one that it was connected to.

        Raises, Cancellation: as :meth:`migrate`.
        """
        return await self._paths.probe(self._open_connection(), "add", local_address, remote_address)

    async def abandon_path(self, path: PathInfo | int) -> None:
        """Use a path no more; what was lost on it is sent on the others.

        Raises:
            PathError: there is no such path, or it is the last one.
            QuicConnectionError: the connection has ended.

        Cancellation: safe; the path is abandoned all the same.
        """
        await self._paths.order(self._open_connection(), "abandon", path_id(path))

    async def set_path_backup(self, path: PathInfo | int, backup: bool = True) -> None:
        """Use a path only where no other can be, on both sides; with ``backup=False``, like others again.

        Raises:
            PathError: there is no such path, or the connection has one alone.
            QuicConnectionError: the connection has ended.

        Cancellation: safe.
        """
        await self._paths.order(self._open_connection(), "back_up" if backup else "use", path_id(path))

    async def paths(self) -> tuple[PathInfo, ...]:
        """The connection's paths with the figures of this moment, the preferred one first.

        Raises:
            QuicConnectionError: the connection has ended.

        Cancellation: safe.
        """
        return await self._paths.list(self._open_connection())

    def path_events(self, *, rtt_change: float | None = None, rate_change: int | None = None) -> PathEvents:
        """What happens to the paths from now on: ``async for event in conn.path_events()``; ends with the connection.

        Args:
            rtt_change: tell of a path's quality when its round-trip time has changed by as many seconds.
            rate_change: the same for its rates, in bytes per second. The last call of a connection counts for all.

        Raises:
            QuicConnectionError: the connection has ended.

        Backpressure: of the events that nobody takes, the last 1024 are kept.
        """
        return self._paths.listen(self._open_connection(), rtt_change, rate_change)


def __getattr__(name: str) -> object:
    """What is told of paths: made when it is wanted, for most programs have one path and never look at it."""
    if name not in ("PathEvent", "PathInfo"):
        raise AttributeError(f"module 'aiopquic.quic.paths' has no attribute {name!r}")
    from aiopquic import _paths

    return getattr(_paths, name)


def path_id(path: PathInfo | int) -> int:
    """What the bridge knows a path by."""
    number = path if isinstance(path, int) else getattr(path, "id", None)
    if not isinstance(number, int) or not 0 <= number < 1 << 62:
        raise PathError(f"a path is what add_path() or paths() has returned, or its id, not {path!r}")
    return number

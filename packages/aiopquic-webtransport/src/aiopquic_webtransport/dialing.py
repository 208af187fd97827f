"""A client's HTTP/3 connections: new ones, and those that sessions share."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.dialing import dial
from aiopquic.streams import Connection
from aiopquic_webtransport import _native
from aiopquic_webtransport.http3 import Http3Connection

if TYPE_CHECKING:
    from aiopquic._sinks import ConnectionSink
    from aiopquic.quic.engine import QuicEngine
    from aiopquic.quic.protocols import Connection as BindingConnection

__all__ = ["Place", "dial_http3", "pooled"]

#: Host, port, local port, whether the engine is shared.
Place = tuple[str, int, int, bool]

_Pool = dict[tuple[Place, str], Http3Connection]

#: The newest connection to each place with the same settings, as long as it is open.
_pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = weakref.WeakKeyDictionary()


def pooled(place: Place, configuration: QuicConfiguration) -> Http3Connection | None:
    """A connection that was dialed for sharing, with these settings; it may be full."""
    http3 = _pools.get(asyncio.get_running_loop(), {}).get((place, repr(configuration)))
    return None if http3 is None or http3.quic.is_closed or http3.is_going_away else http3


async def dial_http3(place: Place, configuration: QuicConfiguration, *, pooling: bool) -> Http3Connection:
    """A new connection with its handshake complete; with ``pooling`` the one that :func:`pooled` gives next."""
    host, port, local_port, shared = place
    made: list[Http3Connection] = []

    def make_events(connection: Connection) -> Http3Connection:
        made.append(Http3Connection(connection))
        made[-1].answer_timeout = configuration.handshake_timeout
        return made[-1]

    def bind(binding: BindingConnection, engine: QuicEngine) -> ConnectionSink:
        return Connection(binding, configuration, make_events)._events

    lease = await dial(
        host, port, configuration, bind=bind, local_port=local_port, shared=shared, protocols=(_native.protocol(),)
    )
    http3 = made[-1]
    http3.quic._hold(lease)
    if pooling and not http3.quic.is_closed:
        _share(http3, (place, repr(configuration)))
    return http3


def _share(http3: Http3Connection, key: tuple[Place, str]) -> None:
    pool = _pools.setdefault(asyncio.get_running_loop(), {})
    pool[key] = http3

    def forget(connection: Connection) -> None:
        if pool.get(key) is http3:
            del pool[key]

    http3.on_closed = forget

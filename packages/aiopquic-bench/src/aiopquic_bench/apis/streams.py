"""``aiopquic.connect`` and ``aiopquic.serve`` as they are."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import cast

import aiopquic
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic_bench.apis.shape import HOST, Connection, Handler, Server

__all__ = ["connect", "connect_early", "serve"]


def connect(port: int, configuration: QuicConfiguration) -> AbstractAsyncContextManager[Connection]:
    """Connect to a port of this host."""
    opening = aiopquic.connect(HOST, port, configuration=configuration)
    return cast("AbstractAsyncContextManager[Connection]", opening)


def connect_early(port: int, configuration: QuicConfiguration) -> AbstractAsyncContextManager[Connection]:
    """The same, entered at once: what is written before the handshake is complete goes out with its first packet."""
    opening = aiopquic.connect(HOST, port, configuration=configuration, wait_connected=False)
    return cast("AbstractAsyncContextManager[Connection]", opening)


def serve(handler: Handler, configuration: QuicConfiguration, workers: int) -> AbstractAsyncContextManager[Server]:
    """Serve on a port that the system chooses; early data is answered as soon as it is there."""
    handle = cast("aiopquic.streams.server.Handler", handler)
    opening = aiopquic.serve(handle, HOST, 0, configuration=configuration, workers=workers, wait_connected=False)
    return cast("AbstractAsyncContextManager[Server]", opening)

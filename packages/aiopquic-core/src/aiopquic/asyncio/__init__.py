"""QUIC on asyncio, in the shape that aioquic made familiar."""

from typing import Any

from aiopquic.asyncio.client import connect
from aiopquic.asyncio.protocol import QuicConnectionProtocol
from aiopquic.asyncio.server import QuicServer, serve

__all__ = ["QuicConnectionProtocol", "QuicServer", "connect", "serve"]

#: From the package aiopquic-webtransport, and so imported when they are used.
_DISPATCH = ("DualStackServer", "serve_dispatch")


def __getattr__(name: str) -> Any:
    if name not in _DISPATCH:
        raise AttributeError(f"module 'aiopquic.asyncio' has no attribute {name!r}")
    from aiopquic.asyncio import dispatch

    return getattr(dispatch, name)

"""QUIC on asyncio, in the shape that aioquic made familiar."""

from aiopquic.asyncio.client import connect
from aiopquic.asyncio.protocol import QuicConnectionProtocol
from aiopquic.asyncio.server import QuicServer, serve

__all__ = ["QuicConnectionProtocol", "QuicServer", "connect", "serve"]

"""Connections and streams as objects, for asyncio: what ``import aiopquic`` offers."""

from aiopquic.streams.client import connect
from aiopquic.streams.connection import Connection
from aiopquic.streams.datagrams import DatagramFate
from aiopquic.streams.readers import open_connection, start_server
from aiopquic.streams.receiving import ReceiveStream
from aiopquic.streams.sending import SendStream
from aiopquic.streams.server import HANDLER_FAILED, Server, serve
from aiopquic.streams.stats import ConnectionStats
from aiopquic.streams.stream import Stream

__all__ = [
    "HANDLER_FAILED",
    "Connection",
    "ConnectionStats",
    "DatagramFate",
    "ReceiveStream",
    "SendStream",
    "Server",
    "Stream",
    "connect",
    "open_connection",
    "serve",
    "start_server",
]

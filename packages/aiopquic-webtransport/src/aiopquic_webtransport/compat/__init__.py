"""WebTransport in the shape of earlier releases: stream ids, events, plain calls.

``aiopquic.asyncio.webtransport`` and ``aiopquic.asyncio.dispatch`` have these names.
"""

from aiopquic_webtransport.compat.client import WebTransportClient, connect_webtransport
from aiopquic_webtransport.compat.dispatch import DualStackServer, serve_dispatch
from aiopquic_webtransport.compat.numbers import *  # noqa: F403 - the private names that programs know
from aiopquic_webtransport.compat.server import WebTransportServer, WebTransportServerSession, serve_webtransport
from aiopquic_webtransport.compat.session import WebTransportSession
from aiopquic_webtransport.compat.state import WebTransportSessionState
from aiopquic_webtransport.error_codes import WT_SESSION_GONE
from aiopquic_webtransport.exceptions import WebTransportError

__all__ = [
    "WT_SESSION_GONE",
    "DualStackServer",
    "WebTransportClient",
    "WebTransportError",
    "WebTransportServer",
    "WebTransportServerSession",
    "WebTransportSession",
    "WebTransportSessionState",
    "connect_webtransport",
    "serve_dispatch",
    "serve_webtransport",
]

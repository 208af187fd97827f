"""WebTransport over aiopquic."""

# Core first: it loads libaiopquic.so, in which the extension finds picoquic.
import aiopquic as _core  # noqa: F401
from aiopquic_webtransport import _native
from aiopquic_webtransport._compatibility import check_core
from aiopquic_webtransport._native import native_info
from aiopquic_webtransport._version import __version__

check_core(_native.built_for(), _native.loaded(), __version__)

from aiopquic_webtransport.client import connect  # noqa: E402 - what needs a core that fits
from aiopquic_webtransport.datagrams import Datagrams  # noqa: E402
from aiopquic_webtransport.error_codes import (  # noqa: E402
    WT_ALPN_ERROR,
    WT_BUFFERED_STREAM_REJECTED,
    WT_REQUIREMENTS_NOT_MET,
    WT_SESSION_GONE,
)
from aiopquic_webtransport.exceptions import (  # noqa: E402
    CloseInfo,
    EndKind,
    NotSupportedError,
    SessionClosedError,
    SessionLimitError,
    SessionRefusedError,
    SessionTimeoutError,
    StreamResetError,
    StreamStoppedError,
    WebTransportError,
)
from aiopquic_webtransport.headers import Headers  # noqa: E402
from aiopquic_webtransport.http3 import Http3Connection  # noqa: E402
from aiopquic_webtransport.request import Request  # noqa: E402
from aiopquic_webtransport.routing import Router  # noqa: E402
from aiopquic_webtransport.server import APP_FAILED, WebTransport, serve  # noqa: E402
from aiopquic_webtransport.session import STREAMS_IGNORED, Session  # noqa: E402
from aiopquic_webtransport.stats import SessionStats  # noqa: E402
from aiopquic_webtransport.streams import ReceiveStream, SendStream, Stream  # noqa: E402

__all__ = [
    "APP_FAILED",
    "STREAMS_IGNORED",
    "WT_ALPN_ERROR",
    "WT_BUFFERED_STREAM_REJECTED",
    "WT_REQUIREMENTS_NOT_MET",
    "WT_SESSION_GONE",
    "CloseInfo",
    "Datagrams",
    "EndKind",
    "Headers",
    "Http3Connection",
    "NotSupportedError",
    "ReceiveStream",
    "Request",
    "Router",
    "SendStream",
    "Session",
    "SessionClosedError",
    "SessionLimitError",
    "SessionRefusedError",
    "SessionStats",
    "SessionTimeoutError",
    "Stream",
    "StreamResetError",
    "StreamStoppedError",
    "WebTransport",
    "WebTransportError",
    "__version__",
    "connect",
    "native_info",
    "serve",
]

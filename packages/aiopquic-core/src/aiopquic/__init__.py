"""QUIC for asyncio, over picoquic."""

from importlib import import_module
from typing import TYPE_CHECKING

from aiopquic._version import __version__

if TYPE_CHECKING:
    from aiopquic._tickets import SessionStore
    from aiopquic.exceptions import (
        AiopquicError,
        AlpnError,
        BindError,
        CertificateFileError,
        CertificateVerifyError,
        CloseKind,
        CloseReason,
        ConfigurationError,
        ConnectionClosedError,
        DatagramError,
        EchRejectedError,
        HandshakeError,
        HandshakeTimeoutError,
        IdleTimeoutError,
        PathError,
        QuicConnectionError,
        ServerRefusedError,
        StatelessResetError,
        StreamClosedError,
        StreamError,
        StreamLimitError,
        StreamResetError,
        StreamStoppedError,
        TransportError,
        VersionNegotiationError,
        WouldBlockError,
    )
    from aiopquic.quic.configuration import QuicConfiguration, QuicLbSettings
    from aiopquic.quic.ech import EchKey
    from aiopquic.quic.incoming import Decision, Incoming
    from aiopquic.quic.paths import PathEvent, PathInfo
    from aiopquic.quic.pool import close_idle_engines
    from aiopquic.streams import (
        HANDLER_FAILED,
        Connection,
        ConnectionStats,
        DatagramFate,
        ReceiveStream,
        SendStream,
        Server,
        Stream,
        connect,
        open_connection,
        serve,
        start_server,
    )

__all__ = [
    "HANDLER_FAILED",
    "AiopquicError",
    "AlpnError",
    "BindError",
    "CertificateFileError",
    "CertificateVerifyError",
    "CloseKind",
    "CloseReason",
    "ConfigurationError",
    "Connection",
    "ConnectionClosedError",
    "ConnectionStats",
    "DatagramError",
    "DatagramFate",
    "Decision",
    "EchKey",
    "EchRejectedError",
    "HandshakeError",
    "HandshakeTimeoutError",
    "IdleTimeoutError",
    "Incoming",
    "PathError",
    "PathEvent",
    "PathInfo",
    "QuicConfiguration",
    "QuicConnectionError",
    "QuicLbSettings",
    "ReceiveStream",
    "SendStream",
    "Server",
    "ServerRefusedError",
    "SessionStore",
    "StatelessResetError",
    "Stream",
    "StreamClosedError",
    "StreamError",
    "StreamLimitError",
    "StreamResetError",
    "StreamStoppedError",
    "TransportError",
    "VersionNegotiationError",
    "WouldBlockError",
    "__version__",
    "close_idle_engines",
    "connect",
    "open_connection",
    "serve",
    "start_server",
]

#: Where the names come from that are no exceptions; each module is imported when one of its names is first used, so
#: that whoever imports aiopquic for a part of it does not load all of it.
_HOMES = {
    "Decision": "aiopquic.quic.incoming",
    "EchKey": "aiopquic.quic.ech",
    "Incoming": "aiopquic.quic.incoming",
    "PathEvent": "aiopquic.quic.paths",
    "PathInfo": "aiopquic.quic.paths",
    "QuicConfiguration": "aiopquic.quic.configuration",
    "QuicLbSettings": "aiopquic._quic_lb",
    "SessionStore": "aiopquic._tickets",
    "close_idle_engines": "aiopquic.quic.pool",
    **dict.fromkeys(
        (
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
        ),
        "aiopquic.streams",
    ),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'aiopquic' has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "aiopquic.exceptions")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

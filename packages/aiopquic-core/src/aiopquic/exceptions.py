"""Every exception that aiopquic raises on purpose.

::

    AiopquicError
        ConfigurationError (ValueError)         a setting is wrong; raised before any packet is sent
            CertificateFileError (OSError)      a certificate, key or trust store can't be used; .filename
        BindError (OSError)                     the local address can't be bound; .errno
        QuicConnectionError (ConnectionError)   the connection is unusable; .close_reason says who and why
            ConnectionClosedError               closed by the application, ours or the peer's
            TransportError                      closed by a QUIC stack for an error
                ServerRefusedError (ConnectionRefusedError) the server accepts no connection, or not this one
                HandshakeError                  the handshake failed
                    CertificateVerifyError      the peer's certificate was refused
                    AlpnError                   no application protocol in common
                    EchRejectedError            the server could not read the encrypted name; .retry_configs
            IdleTimeoutError (TimeoutError)     nothing was heard for the idle timeout
            HandshakeTimeoutError (TimeoutError) nobody answered, or not in time
            StatelessResetError                 the peer lost its state
            VersionNegotiationError             no QUIC version in common
        StreamError                             one stream is unusable; the connection lives on
            StreamResetError                    the peer reset it: reading ends; .error_code
            StreamStoppedError                  the peer sent STOP_SENDING: writing ends; .error_code
            StreamClosedError (ValueError)      used after its end, against its direction, or never opened
            StreamLimitError                    more bytes than read_all() was to take; the stream was stopped
        PathError                               a path can't be used; the connection stays where it was
        DatagramError (ValueError)              a datagram is too large, or the peer takes none
        WouldBlockError (BufferError)           nothing was taken; wait and retry with the same data
        BufferReadError (ValueError)            a read past the end, or of bytes that can't be right
        StreamUnderflow                         not all of it has come yet: .pos, .needed
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aiopquic._records import Record

__all__ = [
    "AiopquicError",
    "AlpnError",
    "BindError",
    "BufferReadError",
    "CertificateFileError",
    "CertificateVerifyError",
    "CloseKind",
    "CloseReason",
    "ConfigurationError",
    "ConnectionClosedError",
    "DatagramError",
    "EchRejectedError",
    "HandshakeError",
    "HandshakeTimeoutError",
    "IdleTimeoutError",
    "PathError",
    "QuicConnectionError",
    "ServerRefusedError",
    "StatelessResetError",
    "StreamClosedError",
    "StreamError",
    "StreamLimitError",
    "StreamResetError",
    "StreamStoppedError",
    "StreamUnderflow",
    "TransportError",
    "VersionNegotiationError",
    "WouldBlockError",
]


class CloseKind(Enum):
    """How a connection ended (RFC 9000 section 10)."""

    APPLICATION = "application close"
    TRANSPORT = "transport error"
    IDLE_TIMEOUT = "idle timeout"
    HANDSHAKE_TIMEOUT = "handshake timeout"
    STATELESS_RESET = "stateless reset"
    VERSION_NEGOTIATION = "no common QUIC version"
    LOCAL_FAILURE = "local failure"


#: TLS alerts (RFC 8446 section 6) that end a QUIC handshake as 0x100 + alert (RFC 9001 section 4.8).
TLS_ALERTS = {
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    80: "internal_error",
    109: "missing_extension",
    112: "unrecognized_name",
    116: "certificate_required",
    120: "no_application_protocol",
    121: "ech_required",
}

_CRYPTO_ERROR = 0x100
_ALERT_NO_APPLICATION_PROTOCOL = 120
_ALERT_ECH_REQUIRED = 121  # RFC 9849 section 11.2
_CONNECTION_REFUSED = 0x2  # RFC 9000 section 20.1
_CERTIFICATE_ALERTS = frozenset({42, 43, 44, 45, 46, 48, 116})


@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class CloseReason(Record):
    """Who ended a connection, how, and why."""

    kind: CloseKind
    is_remote: bool
    "True when the peer said so."
    error_code: int
    "The application's code, or the transport error code of RFC 9000 section 20.1."
    frame_type: int | None
    "The frame that caused a transport error, where it is known."
    reason: str
    "The reason phrase, as text."
    verify_error: str
    "Why our own verifier refused the peer's certificate, in OpenSSL's words."
    ech_retry_configs: bytes
    "Client: the ECHConfigList that a server which could not open the encrypted ClientHello sent for the next try."

    def __init__(
        self,
        kind: CloseKind,
        is_remote: bool = False,
        error_code: int = 0,
        frame_type: int | None = None,
        reason: str = "",
        verify_error: str = "",
        ech_retry_configs: bytes = b"",
    ) -> None:
        self._assign(
            kind=kind,
            is_remote=is_remote,
            error_code=error_code,
            frame_type=frame_type,
            reason=reason,
            verify_error=verify_error,
            ech_retry_configs=ech_retry_configs,
        )

    def __hash__(self) -> int:
        return hash(self._values())

    @property
    def tls_alert(self) -> int | None:
        """The TLS alert that ended the handshake, if that is what happened."""
        if self.kind is CloseKind.TRANSPORT and _CRYPTO_ERROR <= self.error_code < _CRYPTO_ERROR + 0x100:
            return self.error_code - _CRYPTO_ERROR
        return None

    @property
    def is_refusal(self) -> bool:
        """True when the peer did not want the connection: CONNECTION_REFUSED (RFC 9000 section 20.1)."""
        return self.kind is CloseKind.TRANSPORT and self.is_remote and self.error_code == _CONNECTION_REFUSED

    def __str__(self) -> str:
        who = "the peer" if self.is_remote else "this side"
        alert = self.tls_alert
        if self.verify_error:
            text = f"the peer's certificate was refused: {self.verify_error}"
        elif alert is not None:
            text = f"{who} sent the TLS alert {TLS_ALERTS.get(alert, alert)} ({alert})"
        elif self.kind is CloseKind.APPLICATION:
            text = f"closed by {who} with application code {self.error_code:#x}"
        elif self.is_refusal:
            text = "the peer refused the connection"
        elif self.kind is CloseKind.TRANSPORT:
            text = f"closed by {who} with transport error {self.error_code:#x}"
            if self.frame_type is not None:
                text += f", frame type {self.frame_type:#x}"
        elif self.kind is CloseKind.HANDSHAKE_TIMEOUT:
            text = "nobody answered in time: check the address, the port and that a QUIC server runs there"
        elif self.kind is CloseKind.LOCAL_FAILURE and self.error_code == 0 and self.reason:
            return self.reason
        elif self.kind is CloseKind.LOCAL_FAILURE:
            text = f"the connection failed on this side (error {self.error_code:#x})"
        else:
            text = self.kind.value
        return f"{text}: {self.reason}" if self.reason else text

    def exception(self) -> QuicConnectionError:
        """The exception that this end means to somebody who still wanted the connection."""
        alert = self.tls_alert
        if self.verify_error or (alert in _CERTIFICATE_ALERTS):
            return CertificateVerifyError(self)
        if alert == _ALERT_NO_APPLICATION_PROTOCOL:
            return AlpnError(self)
        if alert == _ALERT_ECH_REQUIRED and not self.is_remote:
            return EchRejectedError(self)
        if alert is not None:
            return HandshakeError(self)
        if self.is_refusal:
            return ServerRefusedError(self)
        return _EXCEPTIONS[self.kind](self)


class AiopquicError(Exception):
    """The root of every exception here."""


class ConfigurationError(AiopquicError, ValueError):
    """A setting is wrong. Raised before any packet is sent."""


class CertificateFileError(ConfigurationError, OSError):
    """A certificate, a private key or a trust store can't be used; ``filename`` says which."""

    def __init__(self, message: str, filename: str | None = None) -> None:
        super().__init__(message)
        self.filename = filename

    def __str__(self) -> str:
        return str(self.args[0])


class BindError(AiopquicError, OSError):
    """The local address can't be bound; ``errno`` says why."""


class QuicConnectionError(AiopquicError, ConnectionError):
    """The connection is unusable; ``close_reason`` says who ended it and why."""

    def __init__(self, close_reason: CloseReason) -> None:
        super().__init__(str(close_reason))
        self.close_reason = close_reason

    @property
    def error_code(self) -> int:
        """The code of the CONNECTION_CLOSE."""
        return self.close_reason.error_code


class ConnectionClosedError(QuicConnectionError):
    """An application closed the connection, ours or the peer's."""


class TransportError(QuicConnectionError):
    """A QUIC stack closed the connection for an error (RFC 9000 section 20.1)."""


class ServerRefusedError(TransportError, ConnectionRefusedError):
    """The server accepts no connection, or not this one."""


class HandshakeError(TransportError):
    """The TLS handshake failed."""


class CertificateVerifyError(HandshakeError):
    """The certificate of the server, or of the client, was refused."""


class AlpnError(HandshakeError):
    """The two sides have no application protocol in common (RFC 7301)."""


class EchRejectedError(HandshakeError):
    """The server, known by the certificate of its public name, could not open the encrypted ClientHello (RFC 9849).

    Nothing of the name that was asked for was shown. ``retry_configs`` is the ECHConfigList to try again with, once;
    when it is empty, the server has no such keys any more, and only a connection without ``ech_config`` reaches it.
    """

    @property
    def retry_configs(self) -> bytes:
        """For ``ech_config``; empty when the server gave none."""
        return self.close_reason.ech_retry_configs


class IdleTimeoutError(QuicConnectionError, TimeoutError):
    """Nothing was heard for the idle timeout (RFC 9000 section 10.1)."""


class HandshakeTimeoutError(QuicConnectionError, TimeoutError):
    """The peer did not complete the handshake in time; most often nobody listens there."""


class StatelessResetError(QuicConnectionError):
    """The peer lost its state and said so (RFC 9000 section 10.3)."""


class VersionNegotiationError(QuicConnectionError):
    """The two sides have no QUIC version in common."""


_EXCEPTIONS: dict[CloseKind, type[QuicConnectionError]] = {
    CloseKind.APPLICATION: ConnectionClosedError,
    CloseKind.TRANSPORT: TransportError,
    CloseKind.IDLE_TIMEOUT: IdleTimeoutError,
    CloseKind.HANDSHAKE_TIMEOUT: HandshakeTimeoutError,
    CloseKind.STATELESS_RESET: StatelessResetError,
    CloseKind.VERSION_NEGOTIATION: VersionNegotiationError,
    CloseKind.LOCAL_FAILURE: QuicConnectionError,
}


class StreamError(AiopquicError):
    """One stream is unusable; the connection lives on."""

    def __init__(self, message: str, stream_id: int, error_code: int = 0) -> None:
        super().__init__(message)
        self.stream_id = stream_id
        self.error_code = error_code


class StreamResetError(StreamError):
    """The peer gave up its side of the stream: reading has ended; ``error_code`` is its code."""


class StreamStoppedError(StreamError):
    """The peer wants no more of this stream: writing has ended; ``error_code`` is its code."""


class StreamClosedError(StreamError, ValueError):
    """The stream has ended, flows the other way, or was never opened: a mistake of the caller."""


class StreamLimitError(StreamError):
    """The peer sent more bytes on the stream than ``read_all`` was to take; the stream was stopped."""


class PathError(AiopquicError):
    """A path can't be used as asked; the connection stays where it was, and lives on."""


class DatagramError(AiopquicError, ValueError):
    """A datagram is larger than the connection takes, or the peer takes none (RFC 9221 section 3)."""


class WouldBlockError(AiopquicError, BufferError):
    """The send budget is used up. Nothing was taken: wait for room and retry with the same data."""


class BufferReadError(AiopquicError, ValueError):
    """Bytes can't be read as asked, and more of them would not help: past the end, or against their format."""


class StreamUnderflow(AiopquicError):
    """Not all of a value has arrived: ``needed`` bytes are wanted from position ``pos`` on, or more."""

    def __init__(self, pos: int, needed: int) -> None:
        super().__init__(f"{needed} bytes are needed from position {pos} on")
        self.pos = pos
        self.needed = needed

    def __reduce__(self) -> tuple[type[StreamUnderflow], tuple[int, int]]:
        return type(self), (self.pos, self.needed)

"""Connecting to a WebTransport server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack
from urllib.parse import urlsplit

from aiopquic.exceptions import ConfigurationError, QuicConnectionError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.streams._opening import Opening
from aiopquic.streams.settings import ClientSettings, configuration_of
from aiopquic_webtransport._structured import parse_string, serialize_strings
from aiopquic_webtransport._wire import Command, RawHeader, pack_close, pack_headers
from aiopquic_webtransport.dialing import dial_http3, pooled
from aiopquic_webtransport.error_codes import WT_ALPN_ERROR
from aiopquic_webtransport.exceptions import (
    CloseInfo,
    EndKind,
    SessionLimitError,
    SessionRefusedError,
    SessionTimeoutError,
    WebTransportError,
)
from aiopquic_webtransport.headers import HeaderInput, Headers, checked
from aiopquic_webtransport.peers import check_peer, connect_token, max_sessions
from aiopquic_webtransport.session import Session

if TYPE_CHECKING:
    from aiopquic_webtransport.http3 import Http3Connection

__all__ = ["SessionOptions", "connect", "open_session"]

#: Bytes of the list of protocols that a client offers, as they are sent.
MAX_PROTOCOLS_BYTES = 4096


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What one CONNECT asks for."""

    path: str
    "With its query."
    authority: str = ""
    "Empty for that of the connection's first session."
    protocols: tuple[str, ...] = ()
    protocols_field: str = ""
    headers: tuple[RawHeader, ...] = ()
    compatibility: bool = False
    make_session: type[Session] = Session

    @classmethod
    def of(
        cls,
        path: str,
        *,
        authority: str = "",
        protocols: Sequence[str] = (),
        headers: HeaderInput | None = None,
        origin: str | None = None,
        compatibility: bool = False,
    ) -> SessionOptions:
        """Check what an application gives.

        Raises:
            ValueError: something can't be sent.
        """
        if not path.startswith("/") or any(not "!" <= character <= "~" for character in path):
            raise ValueError(f"a path begins with a slash and is of printable ASCII characters, not {path!r}")
        if isinstance(protocols, str | bytes):
            raise ValueError(f"protocols is a list of names: use [{protocols!r}]")
        names = tuple(protocols)
        if len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"protocols are different names, none of them empty, not {list(names)!r}")
        field = serialize_strings(list(names))
        if len(field) > MAX_PROTOCOLS_BYTES:
            raise ValueError(f"the protocols take {len(field)} bytes; {MAX_PROTOCOLS_BYTES} are the most that is sent")
        fields = checked(headers)
        if origin is not None:
            fields += checked({"origin": origin})
        return cls(path, authority, names, field, tuple(fields), compatibility)

    def request(self, token: bytes, authority: str) -> list[RawHeader]:
        """The fields of the CONNECT (RFC 9220, draft-ietf-webtrans-http3 section 3.2)."""
        fields: list[RawHeader] = [
            (b":method", b"CONNECT"),
            (b":protocol", token),
            (b":scheme", b"https"),
            (b":authority", authority.encode()),
            (b":path", self.path.encode()),
            *self.headers,
        ]
        if self.compatibility:
            fields.append((b"sec-webtransport-http3-draft02", b"1"))
        if self.protocols:
            fields.append((b"wt-available-protocols", self.protocols_field.encode()))
        return fields


def connect(
    url: str,
    *,
    protocols: Sequence[str] = (),
    headers: HeaderInput | None = None,
    origin: str | None = None,
    compatibility: bool = False,
    pooling: bool = False,
    configuration: QuicConfiguration | None = None,
    local_port: int = 0,
    shared: bool = True,
    **settings: Unpack[ClientSettings],
) -> Opening[Session]:
    """Open a WebTransport session.

    Use the result as ``async with connect("https://host:port/path") as session``, or ``session = await connect(...)``.
    The connection that it is on ends with it.

    The server's certificate and name are verified, unless ``server_certificate_hashes`` says which certificate it is or
    ``verify_mode`` is ``ssl.CERT_NONE``. Redirects are not followed: they refuse the session.

    Args:
        url: ``https``, a host, a port if it is not 443, a path and a query.
        protocols: application protocols that are offered, the most wanted first; ``session.protocol`` is the one that
            the server chose, None when it chose none.
        headers: header fields of the request.
        origin: the Origin of a page, which browsers send and other programs mostly do not.
        compatibility: True speaks to servers of older drafts too; see docs/webtransport.md. Otherwise the server has to
            announce what draft-ietf-webtrans-http3-15 and later ask for.
        pooling: True takes a connection to the same host and port that has room for one more session, where there is
            one that was opened with ``pooling`` and the same settings.
        configuration: settings to start from.
        local_port: UDP port of this side; 0 lets the system choose.
        shared: False gives the connection an engine of its own, with its socket and its network thread.
        settings: fields of :class:`~aiopquic.quic.configuration.QuicConfiguration`, laid over ``configuration``.

    Raises:
        ValueError: something can't be sent; raised by the call. ConfigurationError (a ValueError) for settings.
        OSError: the name can't be resolved (socket.gaierror), or the local port can't be bound (BindError).
        QuicConnectionError: the handshake failed; the subclass says why.
        NotSupportedError: the server does not offer what WebTransport needs.
        SessionRefusedError: it answered with another status than 2xx.
        SessionTimeoutError: it did not answer within ``handshake_timeout`` seconds of the handshake.

    Cancellation: safe; what was begun is closed.
    """
    host, port, authority, path = _parts(url)
    options = SessionOptions.of(
        path, authority=authority, protocols=protocols, headers=headers, origin=origin, compatibility=compatibility
    )
    settled = configuration_of(
        "connect", is_client=True, configuration=configuration, alpn=["h3"], settings=dict(settings)
    )
    if not settled.max_datagram_frame_size:
        raise ConfigurationError("WebTransport needs datagrams: leave max_datagram_frame_size as it is")

    async def open() -> Session:
        place = (host, port, local_port, shared)
        http3 = (pooled(place, settled) if pooling else None) or await dial_http3(place, settled, pooling=pooling)
        while True:
            try:
                return await open_session(http3, options)
            except SessionLimitError:
                if not pooling or not http3._sessions:
                    raise
            finally:
                http3._close_if_unused()
            http3 = await dial_http3(place, settled, pooling=pooling)

    return Opening(open)


def _parts(url: str) -> tuple[str, int, str, str]:
    """Host, port, authority and path of a URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"{url!r} is no URL") from None
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"a WebTransport URL is https://host[:port]/path, not {url!r}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a WebTransport URL has no user and no password")
    if parts.fragment:
        raise ValueError("a WebTransport URL has no fragment")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.hostname
    shown = f"[{host}]" if ":" in host else host
    return host, port, shown if port == 443 else f"{shown}:{port}", path


async def open_session(http3: Http3Connection, options: SessionOptions) -> Session:
    """Ask for a session and wait for the answer."""
    connection = http3.quic
    try:
        async with asyncio.timeout(http3.answer_timeout):
            peer = await http3._peer_settings.wait()
            connection._require_open()
            check_peer(peer, connection._handshake.remote_parameters, compatibility=options.compatibility)
            _check_room(http3, max_sessions(peer, compatibility=options.compatibility))
            return await _ask(http3, options, connect_token(peer, compatibility=options.compatibility))
    except TimeoutError as error:
        if isinstance(error, QuicConnectionError | WebTransportError):
            raise
        raise SessionTimeoutError(f"the server did not answer within {http3.answer_timeout:g} seconds") from None


def _check_room(http3: Http3Connection, limit: int) -> None:
    if http3.is_going_away:
        raise SessionLimitError("the server takes no more sessions on this connection (GOAWAY): connect anew")
    if len(http3._sessions) >= limit:
        raise SessionLimitError(
            f"the server allows {limit} session{'s' * (limit > 1)} on one connection: connect anew for another"
        )


async def _ask(http3: Http3Connection, options: SessionOptions, token: bytes) -> Session:
    stream_id = await http3.quic._credit.take(unidirectional=False)
    if stream_id is None:
        raise http3.quic._reason_of_end().exception()
    authority = options.authority or http3.authority
    http3.authority = authority
    session = http3._sessions[stream_id] = options.make_session(http3, stream_id, options.path, authority)
    waiter = http3._responses[stream_id] = asyncio.get_running_loop().create_future()
    try:
        http3._command(Command.CONNECT, stream_id, pack_headers(options.request(token, authority)))
        status, raw = await waiter
    except BaseException:
        if session._end is None:
            http3._command(Command.CLOSE_SESSION, stream_id, pack_close(0, b""))  # cancels the request
            http3._drop(stream_id, CloseInfo())
        raise
    finally:
        del http3._responses[stream_id]
    headers = Headers(raw)
    if not 200 <= status < 300:
        http3._drop(stream_id, CloseInfo(kind=EndKind.REFUSED, is_remote=True))
        raise SessionRefusedError(options.path, status, headers, _error_code(raw))
    session._has_begun = True
    session._response_headers = headers
    session._protocol = _chosen(session, headers, options)
    return session


def _error_code(raw: list[RawHeader]) -> int | None:
    """HTTP/3's code with which the server gave up the request; None when it answered."""
    return next((int(value) for name, value in raw if name == b":error"), None)


def _chosen(session: Session, headers: Headers, options: SessionOptions) -> str | None:
    """The application protocol that the server has chosen."""
    field = headers.get("wt-protocol")
    protocol = parse_string(field) if field is not None else None
    if protocol is None or protocol in options.protocols:
        return protocol
    session.close()
    offered = ", ".join(options.protocols) or "none"
    raise WebTransportError(
        f"the server chose the protocol {protocol!r}, which was not offered ({offered}): error {WT_ALPN_ERROR:#x}"
    )

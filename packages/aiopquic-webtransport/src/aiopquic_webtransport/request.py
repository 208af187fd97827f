"""A client's wish for a session, as a server's application sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiopquic_webtransport._structured import parse_strings, serialize_string
from aiopquic_webtransport._wire import RawHeader
from aiopquic_webtransport.headers import HeaderInput, Headers, checked
from aiopquic_webtransport.session import Session

if TYPE_CHECKING:
    from aiopquic import Connection
    from aiopquic_webtransport.http3 import Http3Connection

__all__ = ["Request"]

_UNDECIDED = "\0"


class Request:
    """A session that a client asks for. It waits for :meth:`accept` or :meth:`reject`.

    An application that returns without either refuses it with status 404, one that raises with 500.
    """

    def __init__(
        self, http3: Http3Connection, session: Session, pseudo: dict[str, str], headers: Headers, offered: bool = True
    ) -> None:
        self._http3 = http3
        self._session = session
        self._target = pseudo[":path"]
        self._token = pseudo.get(":protocol", "")
        self._headers = headers
        self._is_answered = False
        self._negotiated: str | None = None
        "What accept() takes when it is told nothing."
        self.path_params: dict[str, str] = {}
        "What the pattern of the route has found in the path."
        self.protocols: tuple[str, ...] = _offered(headers)
        "The application protocols that the client offers, the most wanted first."

    # ---- what is asked for ----

    @property
    def path(self) -> str:
        """The path without its query, as it was sent."""
        return self._target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the question mark; empty when there is none."""
        return self._target.partition("?")[2]

    @property
    def target(self) -> str:
        """Path and query, as they were sent."""
        return self._target

    @property
    def authority(self) -> str:
        """The host, and the port if there is one, that the client asked."""
        return self._session.authority

    @property
    def origin(self) -> str | None:
        """Where the page comes from that asks; None from programs that are no browsers."""
        return self._headers.get("origin")

    @property
    def headers(self) -> Headers:
        """The header fields."""
        return self._headers

    @property
    def peer_address(self) -> tuple[str, int]:
        """The client's address and port."""
        return self._session.peer_address

    @property
    def quic(self) -> Connection:
        """The QUIC connection: its certificate, addresses and figures."""
        return self._session.quic

    @property
    def protocol(self) -> str | None:
        """The protocol that ``WebTransport(protocols=...)`` has chosen; None when there was nothing to choose."""
        return self._negotiated

    @property
    def is_answered(self) -> bool:
        """True once it was accepted or rejected, or the client has given it up."""
        return self._is_answered or self._session.is_closed

    # ---- the answer ----

    async def accept(self, *, protocol: str | None = _UNDECIDED, headers: HeaderInput | None = None) -> Session:
        """Begin the session.

        Args:
            protocol: one of those that the client offers, or None for none. When it is left out: the client's first
                among the protocols that the server was given, if it was given any.
            headers: header fields of the answer.

        Raises:
            ValueError: the client did not offer the protocol, or a header can't be sent; nothing was answered.
            RuntimeError: it was answered before.
            SessionClosedError: the client has given it up, or its connection has ended.

        Cancellation: safe; it does not wait.
        """
        self._require_unanswered()
        chosen = self._negotiated if protocol == _UNDECIDED else protocol
        fields = checked(headers)
        if chosen is not None:
            if chosen not in self.protocols:
                offered = ", ".join(map(repr, self.protocols)) or "none"
                raise ValueError(f"the client did not offer the protocol {chosen!r}; it offers {offered}")
            fields.append((b"wt-protocol", serialize_string(chosen).encode()))
        if "sec-webtransport-http3-draft02" in self._headers:
            fields.append((b"sec-webtransport-http3-draft", b"draft02"))
        self._session._require_open()
        self._answer(200, fields)
        session = self._session
        session._has_begun = True
        session._protocol = chosen
        session._response_headers = Headers(fields)
        return session

    async def reject(self, status: int = 403, *, headers: HeaderInput | None = None) -> None:
        """Refuse the session with a status of 300 to 599.

        Raises:
            ValueError: the status or a header can't be sent; nothing was answered.
            RuntimeError: it was answered before.

        Cancellation: safe; it does not wait.
        """
        self._require_unanswered()
        if not isinstance(status, int) or not 300 <= status <= 599:
            raise ValueError(f"a session is refused with a status of 300 to 599, not {status!r}")
        self._answer(status, checked(headers))

    def __repr__(self) -> str:
        return f"<Request {self._target} from {self.origin or '{}:{}'.format(*self.peer_address)}>"

    def _answer(self, status: int, headers: list[RawHeader]) -> None:
        self._is_answered = True
        if not self._session.is_closed:
            self._http3._respond(self._session.id, status, headers)

    def _require_unanswered(self) -> None:
        if self._is_answered:
            raise RuntimeError(f"{self!r} was answered before: accept() or reject() is called once")

    def _choose(self, known: tuple[str, ...]) -> bool:
        """Take the client's first protocol that is known here; False when it offers some and none is."""
        self._negotiated = next((name for name in self.protocols if name in known), None)
        return self._negotiated is not None or not self.protocols


def _offered(headers: Headers) -> tuple[str, ...]:
    """The protocols of the client's list, each once; none when the list is malformed (RFC 9651 section 4.2)."""
    field = headers.get("wt-available-protocols")
    names = parse_strings(field) if field is not None else None
    return tuple(dict.fromkeys(names or ()))


def is_path(target: str) -> bool:
    """True for what a session can be asked at: a path, and perhaps a query."""
    return target.startswith("/") and not urlsplit(target).fragment

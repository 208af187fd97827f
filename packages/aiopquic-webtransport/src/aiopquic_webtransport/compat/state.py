"""What earlier releases call the state of a session: its handles, and calls that go straight to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiopquic_webtransport.compat.events import EventSession

__all__ = ["WebTransportSessionState"]


class WebTransportSessionState:
    """The session behind a :class:`WebTransportSession`; servers give it to ``session_factory(transport, state)``.

    Where earlier releases have pointers, the numbers are handles.
    """

    def __init__(self, transport: Any, session_ptr: int = 0) -> None:
        self.transport = transport
        self._session_ptr = session_ptr
        self._session: EventSession | None = None

    @classmethod
    def _of(cls, transport: Any, session: EventSession) -> WebTransportSessionState:
        state = cls(transport)
        state._session = session
        return state

    @property
    def session_ptr(self) -> int:
        """The number of the session on its connection; 0 before there is one."""
        return self._session.id if self._session is not None else self._session_ptr

    @property
    def cnx_ptr(self) -> int:
        """The handle of the connection; 0 before there is one."""
        return self._session.quic._binding.handle if self._session is not None else 0

    @property
    def control_stream_id(self) -> int | None:
        """The id of the CONNECT stream; None before there is one."""
        return self._session.id if self._session is not None else None

    @property
    def negotiated_wt_protocol(self) -> str | None:
        """The application protocol that both sides agreed on."""
        return self._session.protocol if self._session is not None else None

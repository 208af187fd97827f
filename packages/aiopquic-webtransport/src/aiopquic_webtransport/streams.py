"""The streams of a session: those of :mod:`aiopquic`, with WebTransport's codes and the end of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiopquic import streams as core
from aiopquic.exceptions import QuicConnectionError, StreamClosedError
from aiopquic.exceptions import StreamStoppedError as CoreStreamStoppedError
from aiopquic.streams._base import BaseStream
from aiopquic_webtransport.error_codes import WT_SESSION_GONE, from_http3, to_http3
from aiopquic_webtransport.exceptions import StreamResetError, StreamStoppedError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from aiopquic.quic.protocols import Stream as BindingStream
    from aiopquic_webtransport.session import Session

__all__ = ["ReceiveStream", "SendStream", "SessionStream", "Stream"]


class SessionStream(BaseStream):
    """What every stream of a session has beside what core's have."""

    __slots__ = ("_is_gone", "_send_order", "_session")

    _session: Session
    _is_gone: bool
    "The peer has reset or stopped the stream because its session ended."
    _send_order: int

    def __init__(self, session: Session, binding: BindingStream) -> None:
        super().__init__(session._quic, binding, session)
        self._session = session
        self._is_gone = False
        self._send_order = 0
        session._streams[binding.id] = self

    @property
    def session(self) -> Session:
        """The session it belongs to."""
        return self._session

    def _writable(self) -> None:
        """The stream has room again, if somebody asked."""

    def _released(self) -> None:
        self._session._forget(self)
        super()._released()


class SendStream(SessionStream, core.SendStream):
    """A stream that this side writes. Made by :meth:`Session.open_send_stream`.

    Everything is as with :class:`aiopquic.SendStream`, but for this: codes have 32 bits, the end of the session raises
    SessionClosedError, and the peer's STOP_SENDING an ``aiopquic_webtransport.StreamStoppedError``, which is one of
    core's too.
    """

    __slots__ = ()

    def reset(self, code: int = 0) -> None:
        """Give up sending, with a code of 32 bits; otherwise as :meth:`aiopquic.SendStream.reset`.

        The peer learns to which session the stream belongs in any case where it knows RESET_STREAM_AT.
        """
        super().reset(to_http3(code))

    @property
    def stop_code(self) -> int | None:
        """The code with which the peer asked to stop; None as long as it has not."""
        return _shown(self._stop_code)

    @property
    def send_order(self) -> int:
        """Among the streams of the session: those with a greater number are sent first; 0 to begin with.

        W3C's sendOrder. Streams of the same number take turns. 63 different numbers above 0, and as many below, are
        told apart. It sets the ``priority`` of core's streams, which is an order over all sessions of the connection.
        """
        return self._send_order

    @send_order.setter
    def send_order(self, value: int) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"a send order is a whole number, not {value!r}")
        self._session._send_orders.set(self, value)

    def _write_now(self, data: Buffer, end_stream: bool) -> bool:
        self._session._require_open()
        return super()._write_now(data, end_stream)

    def _is_sound(self) -> bool:
        if not self._is_released:
            self._session._require_open()
        return super()._is_sound()

    async def _explain(self, error: QuicConnectionError | CoreStreamStoppedError | StreamClosedError) -> Exception:
        explained = await super()._explain(error)
        return explained if self._session._end is None else self._session._end_error()

    def _stopped(self) -> Exception:
        code = self._stop_code or 0
        if code == WT_SESSION_GONE:
            return self._session._gone_error()
        text = f"the peer asked us to stop sending on stream {self.id}, with {_named(code)}"
        return StreamStoppedError(text, self.id, *_codes(code))


class ReceiveStream(SessionStream, core.ReceiveStream):
    """A stream that this side reads. Accepted with :meth:`Session.accept_stream`.

    Everything is as with :class:`aiopquic.ReceiveStream`, but for this: codes have 32 bits; after the end of the
    session what had arrived can be read, and then reading raises SessionClosedError; and the peer's RESET_STREAM raises
    an ``aiopquic_webtransport.StreamResetError``, which is one of core's too.
    """

    __slots__ = ()

    def stop(self, code: int = 0) -> None:
        """Ask the peer to stop sending, with a code of 32 bits; otherwise as :meth:`aiopquic.ReceiveStream.stop`."""
        super().stop(to_http3(code))

    @property
    def reset_code(self) -> int | None:
        """The code with which the peer reset the stream; None as long as it has not."""
        return _shown(self._reset_code)

    def _require_arrivals(self) -> None:
        if self._is_gone:
            raise self._session._gone_error()
        self._session._require_open()
        super()._require_arrivals()

    def _peer_reset(self, error_code: int) -> None:
        if error_code == WT_SESSION_GONE:
            self._is_gone = True
            self._fill()  # what came before is the reader's
            self._wake()
        else:
            super()._peer_reset(error_code)

    def _reset_error(self, code: int) -> Exception:
        return StreamResetError(f"the peer reset stream {self.id} with {_named(code)}", self.id, *_codes(code))


class Stream(SendStream, ReceiveStream, core.Stream):
    """A bidirectional stream of a session; see :class:`SendStream` and :class:`ReceiveStream` for each direction."""

    __slots__ = ()


def _codes(code: int) -> tuple[int, int | None]:
    """What an exception carries: the code to look at, and the application's if it is one."""
    known = from_http3(code)
    return (code if known is None else known), known


def _shown(code: int | None) -> int | None:
    return None if code is None else _codes(code)[0]


def _named(code: int) -> str:
    known = from_http3(code)
    return f"code {known}" if known is not None else f"HTTP/3's code {code:#x}"

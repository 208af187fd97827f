"""What both directions of a stream share: its id, its connection, and the space for the state of each direction."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aiopquic._binding._stream import Stream as BindingStream
    from aiopquic.streams.connection import Connection

__all__ = ["BaseStream", "check_code"]

#: What picoquic gives a stream that nobody has set a priority for.
DEFAULT_PRIORITY = 9


class Owner(Protocol):
    """A connection, or a session over one."""

    @property
    def _end(self) -> object | None:
        """Why nothing can be done any more."""


class BaseStream:
    """One stream of a connection.

    All the fields are here because a stream with both directions derives from both classes, and Python lays out the
    slots of one base only.
    """

    __slots__ = (
        "_ack_waiters",
        "_binding",
        "_buffered",
        "_chunks",
        "_connection",
        "_credited",
        "_has_end",
        "_is_finished",
        "_is_released",
        "_is_reset",
        "_is_stopped",
        "_owner",
        "_priority",
        "_reader",
        "_reset_code",
        "_stop_code",
        "_turn",
        "_writers",
    )

    _binding: BindingStream
    _connection: Connection
    _owner: Owner
    "Whose end ends the stream, beside the connection's."
    _is_released: bool
    "Both directions have ended and are acknowledged."

    # sending
    _is_finished: bool
    _is_reset: bool
    _stop_code: int | None
    "The code of the peer's STOP_SENDING."
    _priority: int
    _writers: int
    "Writes that did not fit at once: the one that waits for room, and those behind it."
    _turn: asyncio.Lock | None
    "Held by the write whose bytes come next; made for the first write that waits."
    _ack_waiters: list[asyncio.Future[bool]] | None
    "Their result is True when everything was acknowledged."

    # receiving
    _chunks: deque[memoryview] | None
    "What was taken from the engine and not handed to the application."
    _buffered: int
    "Bytes in the chunks."
    _credited: int
    "Of those, how many the peer has got credit for already."
    _has_end: bool
    "No bytes follow those in the chunks."
    _is_stopped: bool
    _reset_code: int | None
    "The code of the peer's RESET_STREAM."
    _reader: asyncio.Future[None] | None
    "Whoever waits for bytes: one at a time."

    def __init__(self, connection: Connection, binding: BindingStream, owner: Owner | None = None) -> None:
        self._binding = binding
        self._connection = connection
        self._owner = connection if owner is None else owner
        self._is_released = False
        self._is_finished = False
        self._is_reset = False
        self._stop_code = None
        self._priority = DEFAULT_PRIORITY
        self._writers = 0
        self._turn = None
        self._ack_waiters = None
        self._chunks = None
        self._buffered = 0
        self._credited = 0
        self._has_end = False
        self._is_stopped = False
        self._reset_code = None
        self._reader = None
        binding.state = self

    @property
    def id(self) -> int:
        """The stream's number on its connection (RFC 9000 section 2.1)."""
        return self._binding.id

    @property
    def connection(self) -> Connection:
        """The connection it belongs to."""
        return self._connection

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._binding.id}>"

    # ---- told by the connection, on the loop, while it drains its engine ----

    def _readable(self) -> None:
        """Bytes or the end have arrived."""

    def _peer_reset(self, error_code: int) -> None:
        """RESET_STREAM came."""

    def _peer_stopped(self, error_code: int) -> None:
        """STOP_SENDING came."""

    def _acked(self) -> None:
        """What was written so far is acknowledged."""

    def _released(self) -> None:
        """Both directions are over: nothing is told any more."""
        self._is_released = True
        self._wake()

    def _wake(self) -> None:
        """Whoever waits looks again."""
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
        for waiter in self._ack_waiters or ():
            if not waiter.done():
                waiter.set_result(False)


def check_code(error_code: int) -> int:
    """An application's error code, or a ValueError."""
    if not isinstance(error_code, int) or not 0 <= error_code < 1 << 62:
        raise ValueError(f"an error code is 0 to 2**62 - 1 (RFC 9000 section 16), not {error_code!r}")
    return error_code

"""Waiting for what comes once, and for what comes only while a session lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from aiopquic_webtransport.session import Session

__all__ = ["Awaitable", "Happening", "WhileOpen"]

T = TypeVar("T")


class WhileOpen:
    """Ends the wait inside it when the session ends, with SessionClosedError."""

    __slots__ = ("_session", "_timeout")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._session._waits.add(self._timeout)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session._waits.discard(self._timeout)
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise self._session._end_error() from None


class Happening(Generic[T]):
    """Something that comes once, and that any number of tasks wait for."""

    __slots__ = ("_value", "_waiters", "has_come")

    def __init__(self) -> None:
        self.has_come = False
        self._value: T
        self._waiters: list[asyncio.Future[None]] = []

    def come(self, value: T) -> None:
        if self.has_come:
            return
        self.has_come = True
        self._value = value
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> T:
        if not self.has_come:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)
        return self._value


class Awaitable(Generic[T]):
    """What a property gives that can be awaited, as often as one likes."""

    __slots__ = ("_start",)

    def __init__(self, start: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._start = start

    def __await__(self) -> Generator[Any, None, T]:
        return self._start().__await__()

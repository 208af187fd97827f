"""What every peer does, as README.md has it: the server's part and the client's, over whatever implementation."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

PATH = "/exchange"
SIZE = 1 << 20
MANY = 50
#: Of the session's end, by either side.
CODE, REASON = 4660, "schönen Tag"
PATIENCE = 20.0


class ResetError(Exception):
    """The peer gave the stream up."""

    def __init__(self, code: int) -> None:
        super().__init__(f"reset with {code}")
        self.code = code


class StoppedError(Exception):
    """The peer wants no more of the stream."""

    def __init__(self, code: int) -> None:
        super().__init__(f"stopped with {code}")
        self.code = code


class EndedError(Exception):
    """The session is over; what waits for something of it raises this."""


class Stream(abc.ABC):
    """A stream of the session; of a unidirectional one, the direction that it has."""

    @abc.abstractmethod
    async def read(self) -> bytes:
        """Some bytes; none at the end.

        Raises:
            ResetError: the peer has reset it.
        """

    @abc.abstractmethod
    async def write(self, data: bytes, end: bool = False) -> None: ...

    @abc.abstractmethod
    async def reset(self, code: int) -> None: ...

    @abc.abstractmethod
    async def stop(self, code: int) -> None: ...

    @abc.abstractmethod
    async def stopped(self) -> int:
        """Wait until the peer wants no more of it, and its code."""

    async def read_all(self) -> bytes:
        data = b""
        while piece := await self.read():
            data += piece
        return data

    async def read_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (piece := await self.read()):
            data += piece
        return data


class Session(abc.ABC):
    protocol: str | None

    @abc.abstractmethod
    async def open(self, uni: bool = False) -> Stream: ...

    @abc.abstractmethod
    async def accept(self, uni: bool = False) -> Stream: ...

    @abc.abstractmethod
    async def send_datagram(self, data: bytes) -> None: ...

    @abc.abstractmethod
    async def receive_datagram(self) -> bytes: ...

    @abc.abstractmethod
    async def close(self, code: int, reason: str) -> None: ...

    @abc.abstractmethod
    async def closed(self) -> tuple[int, str]:
        """Wait for the session's end, and what the peer gave for it."""

    async def drain(self) -> None:
        raise NotImplementedError

    async def say(self, text: str) -> None:
        """A unidirectional stream with that text."""
        stream = await self.open(uni=True)
        await stream.write(text.encode(), end=True)


Tell = Callable[..., None]


def tell(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def pattern(size: int) -> bytes:
    return bytes((i * 7 + (i >> 8) * 13) & 255 for i in range(size))


# ---- the server's part ----


async def answer(session: Session, tell: Tell = tell) -> None:
    """Serve one session until its end."""
    tell("session", protocol=session.protocol)
    tasks = [
        asyncio.create_task(_watched(part, tell))
        for part in (_echo_streams(session, tell), _obey_streams(session, tell), _echo_datagrams(session))
    ]
    try:
        code, reason = await session.closed()
        tell("closed", code=code, reason=reason)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watched(part: Coroutine[Any, Any, None], tell: Tell) -> None:
    try:
        await part
    except EndedError:
        pass
    except Exception as error:
        tell("failed", why=repr(error))
        raise


async def _each(session: Session, uni: bool, tell: Tell, handle: Callable[[Stream], Coroutine[Any, Any, None]]) -> None:
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            task = asyncio.create_task(_watched(handle(await session.accept(uni)), tell))
            running.add(task)
            task.add_done_callback(running.discard)
    except EndedError:
        pass
    finally:
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _echo_streams(session: Session, tell: Tell) -> None:
    await _each(session, False, tell, lambda stream: _echo(stream, tell))


async def _echo(stream: Stream, tell: Tell) -> None:
    """What comes goes back; the code of a reset or a stop goes back, too."""

    async def copy() -> None:
        first = True
        try:
            while piece := await stream.read():
                if first and await _given_up(stream, piece):
                    return
                first = False
                await stream.write(piece)
            await stream.write(b"", end=True)
        except ResetError as error:
            tell("reset", code=error.code)
            await stream.reset(error.code)
        except StoppedError:
            await asyncio.Event().wait()  # stopped() tells the code

    copying = asyncio.create_task(copy())
    stopping = asyncio.create_task(stream.stopped())
    try:
        await asyncio.wait((copying, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not copying.done() and stopping.exception() is None:
            tell("stop", code=stopping.result())
            await stream.stop(stopping.result())
    finally:
        for task in (copying, stopping):
            task.cancel()
        await asyncio.gather(copying, stopping, return_exceptions=True)


async def _given_up(stream: Stream, first: bytes) -> bool:
    """Whether the first bytes ask for a reset or a stop."""
    word, _, number = first.partition(b" ")
    if word == b"reset" and number.isdigit():
        await stream.reset(int(number))
        await stream.read_all()
    elif word == b"stop" and number.isdigit():
        await stream.stop(int(number))
        await stream.write(b"", end=True)
    else:
        return False
    return True


async def _obey_streams(session: Session, tell: Tell) -> None:
    await _each(session, True, tell, lambda stream: _obey(session, stream, tell))


async def _obey(session: Session, stream: Stream, tell: Tell) -> None:
    try:
        word, _, rest = (await stream.read_all()).decode().partition(" ")
    except ResetError as error:
        tell("reset", code=error.code)
        return
    if word == "echo":
        await session.say(rest)
    elif word == "close":
        code, _, reason = rest.partition(" ")
        await session.close(int(code), reason)
    elif word == "drain":
        await session.drain()
    elif word == "open":
        opened = await session.open()
        await opened.write(b"hello from the server", end=True)
        await session.say(f"the server got: {(await opened.read_all()).decode()}")
    else:
        tell("unknown", word=word)


async def _echo_datagrams(session: Session) -> None:
    with contextlib.suppress(EndedError):
        while True:
            await session.send_datagram(await session.receive_datagram())


# ---- the client's part ----


async def run_checks(dial: Callable[[], Awaitable[Session]], tell: Tell = tell) -> None:
    """Every check on one session, and the server's close on another."""
    session = await dial()
    tell("session", protocol=session.protocol)
    for check in CHECKS:
        await _verdict(check, session, tell)
    await _verdict(server_close, await dial(), tell)
    tell("done")


async def _verdict(check: Callable[[Session], Awaitable[None]], session: Session, tell: Tell) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await check(session)
    except Exception as error:
        tell("check", name=check.__name__, ok=False, why=repr(error))
    else:
        tell("check", name=check.__name__, ok=True)


def expect(got: object, wanted: object) -> None:
    if got != wanted:
        raise AssertionError(f"{got!r:.100} instead of {wanted!r:.100}")


async def there_and_back(session: Session, data: bytes) -> None:
    stream = await session.open()
    writing = asyncio.create_task(stream.write(data, end=True))
    back = await stream.read_all()
    await writing
    expect(len(back), len(data))
    expect(back, data)


async def bidirectional(session: Session) -> None:
    await there_and_back(session, pattern(SIZE))


async def many(session: Session) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(MANY):
            group.create_task(there_and_back(session, pattern(1000 + number)))


async def hear(session: Session, text: str) -> None:
    expect(await (await session.accept(uni=True)).read_all(), text.encode())


async def unidirectional(session: Session) -> None:
    await session.say("echo one way")
    await hear(session, "one way")


async def server_streams(session: Session) -> None:
    await session.say("open")
    stream = await session.accept()
    expect(await stream.read_all(), b"hello from the server")
    await stream.write(b"hello from the client", end=True)
    await hear(session, "the server got: hello from the client")


async def datagrams(session: Session) -> None:
    """They may get lost: each is sent until it has come back."""
    for number in range(20):
        wanted, got = pattern(100 + 50 * number), b""
        while got != wanted:
            await session.send_datagram(wanted)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    got = await session.receive_datagram()


async def ends_with_reset(stream: Stream, code: int) -> None:
    try:
        data = await stream.read_all()
    except ResetError as error:
        expect(error.code, code)
    else:
        raise AssertionError(f"an end after {data!r:.100} instead of a reset")


async def they_reset(session: Session) -> None:
    stream = await session.open()
    await stream.write(b"reset 77")
    await ends_with_reset(stream, 77)


async def they_stop(session: Session) -> None:
    stream = await session.open()
    await stream.write(b"stop 78")
    expect(await stream.stopped(), 78)


async def begun(session: Session) -> Stream:
    stream = await session.open()
    await stream.write(b"given up")
    expect(await stream.read_exactly(8), b"given up")
    return stream


async def we_reset(session: Session) -> None:
    stream = await begun(session)
    await stream.reset(79)
    await ends_with_reset(stream, 79)


async def we_stop(session: Session) -> None:
    stream = await begun(session)
    await stream.stop(80)
    expect(await stream.stopped(), 80)


async def client_close(session: Session) -> None:
    await session.close(CODE, REASON)


async def server_close(session: Session) -> None:
    with contextlib.suppress(EndedError, StoppedError):  # the end may come before it is done
        await session.say(f"close {CODE} {REASON}")
    expect(await session.closed(), (CODE, REASON))


CHECKS = (
    bidirectional, unidirectional, server_streams, datagrams, many,
    they_reset, they_stop, we_reset, we_stop, client_close,
)  # fmt: skip


def main(
    serve: Callable[[dict[str, str]], Coroutine[Any, Any, None]],
    client: Callable[[dict[str, str]], Coroutine[Any, Any, None]],
) -> None:
    """``server|client --name value...``, as every peer is called."""
    import sys

    words = sys.argv[2:]
    options = {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
    asyncio.run((serve if sys.argv[1] == "server" else client)(options))


async def until_told() -> None:
    """A server lives as long as its standard input is open."""
    import sys

    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()

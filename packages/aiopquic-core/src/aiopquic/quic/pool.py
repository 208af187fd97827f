"""Client engines that connections share: one socket and one network thread for all that have equal settings.

The pool holds its engines weakly. What keeps one alive is its loop, which drains it, and the leases; so a loop that
goes away takes its engines along.
"""

from __future__ import annotations

import asyncio
import weakref
from functools import partial

from aiopquic._settings import EngineSettings
from aiopquic._tickets import SessionStore
from aiopquic.quic._engine_settings import engine_settings, reads_files
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.engine import QuicEngine
from aiopquic.quic.listening import bind_addresses

__all__ = ["EngineLease", "acquire_engine", "close_idle_engines"]

#: Seconds that an engine without a connection waits for the next one. A program that connects again and again, as
#: one does that works through a list, pays once for the trust store, the socket and the thread; one that is done
#: with the network has neither socket nor thread a moment later.
LINGER = 1.0


#: An ``EngineSettings.sharing_key()``.
_Key = tuple[object, ...]


class EngineLease:
    """The right to use an engine, until it is released."""

    def __init__(self, engine: QuicEngine, shared: _SharedEngine | None) -> None:
        self.engine = engine
        self._shared = shared
        self._is_released = False

    async def release(self) -> None:
        """Give a shared engine back; end one of one's own. The second call does nothing.

        The connection is closed before. Cancellation: safe; the engine is given back, or ends.
        """
        if self._is_released:
            return
        self._is_released = True
        if self._shared is None:
            await self.engine.aclose()
        else:
            self._shared.give_back()


class _SharedEngine:
    """One engine, and how many use it."""

    def __init__(self, pool: _Pool, key: _Key, configuration: QuicConfiguration, settings: EngineSettings) -> None:
        self._pool = pool
        self._key = key
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._engine: QuicEngine | None = None
        self._users = 0
        self._starting = self._loop.create_task(_start(configuration, settings))
        self._starting.add_done_callback(self._started)

    @property
    def is_usable(self) -> bool:
        return self._engine is None or not self._engine.is_stopped

    @property
    def is_idle(self) -> bool:
        return self._users == 0

    async def lease(self) -> EngineLease:
        """Raises what starting the engine raises. Cancellation: safe."""
        self._users += 1
        self._stop_timer()
        try:
            engine = await asyncio.shield(self._starting)
        except BaseException:
            self.give_back()
            raise
        return EngineLease(engine, self)

    def _started(self, task: asyncio.Task[QuicEngine]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._pool.remove(self._key, self)
        else:
            self._engine = task.result()

    def give_back(self) -> None:
        self._users -= 1
        if self.is_idle and self._pool.has(self._key, self):
            self._timer = self._loop.call_later(LINGER, self.expire)

    def expire(self) -> None:
        """Nobody came: the engine ends."""
        self._stop_timer()
        self._pool.remove(self._key, self)
        self._pool.keep_until_done(self._loop.create_task(self._close()))

    async def _close(self) -> None:
        await (await self._starting).aclose()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Pool:
    """The shared engines of one loop."""

    def __init__(self) -> None:
        self._engines: weakref.WeakValueDictionary[_Key, _SharedEngine] = weakref.WeakValueDictionary()
        self._closing: weakref.WeakSet[asyncio.Task[None]] = weakref.WeakSet()

    async def lease(self, configuration: QuicConfiguration, settings: EngineSettings) -> EngineLease:
        key = settings.sharing_key()
        shared = self._engines.get(key)
        if shared is None or not shared.is_usable:
            settings = settings.replaced(alpn=())  # each connection brings its own
            shared = self._engines[key] = _SharedEngine(self, key, configuration, settings)
        return await shared.lease()

    def has(self, key: _Key, shared: _SharedEngine) -> bool:
        return self._engines.get(key) is shared

    def remove(self, key: _Key, shared: _SharedEngine) -> None:
        if self.has(key, shared):
            del self._engines[key]

    def keep_until_done(self, task: asyncio.Task[None]) -> None:
        self._closing.add(task)

    async def close_idle(self) -> None:
        for shared in list(self._engines.values()):
            if shared.is_idle:
                shared.expire()
        if self._closing:
            await asyncio.wait(list(self._closing))


_pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = weakref.WeakKeyDictionary()


#: Address tokens of a loop's connections without a store of their own; they open nothing but the way to an address.
_tokens: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, SessionStore] = weakref.WeakKeyDictionary()


async def _start(configuration: QuicConfiguration, settings: EngineSettings) -> QuicEngine:
    """An engine of the running loop with its sockets open; nothing of it blocks the loop."""
    loop = asyncio.get_running_loop()
    tokens = _tokens.setdefault(loop, SessionStore())
    engine = await loop.run_in_executor(
        None, lambda: QuicEngine(configuration=configuration, settings=settings, keeper=tokens)
    )
    try:
        engine.start()
        engine.attach(loop)
        await engine.wait_ready()
    except BaseException:
        await engine.aclose()
        raise
    return engine


async def acquire_engine(
    configuration: QuicConfiguration, *, local_port: int = 0, shared: bool = True, protocols: tuple[object, ...] = ()
) -> EngineLease:
    """A client engine with these settings, its sockets open; ``protocols`` are halves of some on the network thread.

    Shared with the other connections of this loop that have the same settings, the application protocols apart;
    one of one's own where ``shared`` is False or the local port is given.

    Raises:
        ConfigurationError: a setting is wrong.
        BindError: the local port can't be bound.

    Cancellation: safe.
    """
    loop = asyncio.get_running_loop()
    hosts = await bind_addresses(None, configuration.ip_family)
    settle = partial(engine_settings, configuration, bind_addresses=hosts, port=local_port, protocols=protocols)
    settings = await asyncio.to_thread(settle) if reads_files(configuration) else settle()
    if local_port or not shared:
        return EngineLease(await _start(configuration, settings), None)
    return await _pools.setdefault(loop, _Pool()).lease(configuration, settings)


async def close_idle_engines() -> None:
    """End the shared engines of the running loop that have no connection, at once rather than after a moment.

    Cancellation: safe; they end without being waited for.
    """
    pool = _pools.get(asyncio.get_running_loop())
    if pool is not None:
        await pool.close_idle()

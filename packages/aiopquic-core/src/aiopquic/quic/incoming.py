"""Deciding about clients before their handshake: accept, refuse, or have the address proven first."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from aiopquic._sinks import INCOMING_ACCEPT, INCOMING_REFUSE, INCOMING_RETRY
from aiopquic.exceptions import ConfigurationError

if TYPE_CHECKING:
    from aiopquic._binding._engine import Engine
    from aiopquic._sinks import IncomingInfo

__all__ = ["Decision", "Incoming", "IncomingCallback", "IncomingDesk"]


class Decision(Enum):
    """What becomes of a client that wants to connect."""

    ACCEPT = "accept"
    "The handshake begins."
    REFUSE = "refuse"
    "The client is told at once: CONNECTION_REFUSED (RFC 9000 section 20.1)."
    RETRY = "retry"
    """The client gets a Retry packet, comes again with proof of its address and is asked about once more (RFC 9000
    section 8.1.2). For clients with ``is_address_validated`` false only."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A client that wants to connect. Nobody has proven what it says; the names are read from its ClientHello."""

    peer_address: tuple[str, int]
    "IP address and UDP port. Anybody can write any address there while ``is_address_validated`` is false."
    local_address: tuple[str, int]
    "The address of this host that the client wrote to."
    is_address_validated: bool
    "A token of this server proves that the client receives at its address (RFC 9000 section 8.1)."
    server_name: str | None
    "The server name (SNI) that it asks for; None when it names none, or when its ClientHello can't be read."
    alpn: tuple[str, ...]
    "The application protocols that it offers, in its order; empty like ``server_name``."


IncomingCallback = Callable[[Incoming], Decision | Awaitable[Decision]]

_ANSWERS = {
    Decision.ACCEPT: INCOMING_ACCEPT,
    Decision.REFUSE: INCOMING_REFUSE,
    Decision.RETRY: INCOMING_RETRY,
}


class IncomingDesk:
    """Asks the application's callback about each client of one engine, and passes its decisions on.

    The callback may be a function or a coroutine function; each call of the latter is a task, so that a slow decision
    holds up nobody else. A decision takes ``timeout`` seconds at most. An exception, a decision that does not fit or
    none in time refuses that one client, and the loop's exception handler is told.
    """

    def __init__(self, callback: IncomingCallback, *, timeout: float) -> None:
        if not callable(callback):
            raise ConfigurationError(
                f"incoming is a function that takes an Incoming and returns a Decision, not {callback!r}"
            )
        self._callback = callback
        self._timeout = timeout
        self._tasks: set[asyncio.Task[None]] = set()
        self._engine: Engine | None = None

    def open(self, engine: Engine) -> None:
        """Begin to answer to this engine; before it is started."""
        self._engine = engine

    def close(self) -> None:
        """End the decisions that are on their way. The engine that stops refuses those clients."""
        self._engine = None
        for task in self._tasks:
            task.cancel()

    def take(self, info: IncomingInfo) -> None:
        """Decide about a client: the engine's ``on_incoming``."""
        incoming = Incoming(
            info.peer_address, info.local_address, info.is_validated, info.server_name, tuple(info.alpn)
        )
        try:
            decision = self._callback(incoming)
            if not inspect.isawaitable(decision):
                self._answer(info.handle, incoming, decision)
                return
        except Exception as error:
            self._fail(info.handle, incoming, error)
            return
        task = asyncio.get_running_loop().create_task(self._wait(info.handle, incoming, decision))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait(self, handle: int, incoming: Incoming, decision: Awaitable[Decision]) -> None:
        deadline = asyncio.timeout(self._timeout)
        try:
            async with deadline:
                decided = await decision
            self._answer(handle, incoming, decided)
        except asyncio.CancelledError:
            self._send(handle, Decision.REFUSE)
            raise
        except Exception as error:
            late = TimeoutError(f"incoming came to no decision within {self._timeout:g} s")
            self._fail(handle, incoming, late if deadline.expired() else error)

    def _answer(self, handle: int, incoming: Incoming, decision: object) -> None:
        if not isinstance(decision, Decision):
            raise TypeError(f"incoming must return Decision.ACCEPT, REFUSE or RETRY, not {decision!r}")
        if decision is Decision.RETRY and incoming.is_address_validated:
            raise ValueError(
                "Decision.RETRY for a client whose address is validated already: a client takes one Retry only"
            )
        self._send(handle, decision)

    def _fail(self, handle: int, incoming: Incoming, error: Exception) -> None:
        self._send(handle, Decision.REFUSE)
        asyncio.get_running_loop().call_exception_handler(
            {
                "message": "aiopquic: no decision about a client, which was refused",
                "exception": error,
                "incoming": incoming,
            }
        )

    def _send(self, handle: int, decision: Decision) -> None:
        if self._engine is not None:
            self._engine.answer_incoming(handle, _ANSWERS[decision])

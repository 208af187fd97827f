"""Engines that still run when the process ends: their peers are told, and their threads joined."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiopquic._binding._engine import Engine

__all__ = ["close_at_exit"]

_running: weakref.WeakKeyDictionary[Engine, threading.Thread] = weakref.WeakKeyDictionary()
"With the thread that started each, the only one that may call it."


def close_at_exit(engine: Engine) -> None:
    """Send CONNECTION_CLOSE on what the engine still has open when the interpreter exits, half a second at most."""
    _running[engine] = threading.current_thread()


def _close_all() -> None:
    """An engine of a thread that still runs is left to it: no two threads may call one engine."""
    left = [
        engine
        for engine, thread in _running.items()
        if engine.is_running and (thread is threading.current_thread() or not thread.is_alive())
    ]
    for engine in left:
        engine.stop()
    for engine in left:
        engine.join()


atexit.register(_close_all)
# A child has none of the threads: its parent closes what is open.
os.register_at_fork(after_in_child=_running.clear)

"""Certificates, a server and a client for every test; and the check that no test leaves anything behind."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from aiopquic._binding._engine import live_counts

from .certificates import Certificates, make_certificates
from .support import Endpoints

#: Seconds that objects may take to go after a test.
LEAK_DEADLINE = 5.0

#: The loop that the tests run on: "asyncio", or "uvloop".
TEST_LOOP = os.environ.get("AIOPQUIC_TEST_LOOP", "asyncio")

_failed = pytest.StashKey[bool]()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    if TEST_LOOP == "uvloop":
        import uvloop

        return {"uvloop": uvloop.new_event_loop}
    if TEST_LOOP == "asyncio":
        return {"asyncio": asyncio.new_event_loop}
    raise pytest.UsageError(f"AIOPQUIC_TEST_LOOP is asyncio or uvloop, not {TEST_LOOP!r}")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what the shell exports."""
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)


@pytest.fixture
def endpoints(certificates: Certificates) -> Endpoints:
    return Endpoints(certificates)


@pytest.fixture(scope="session", autouse=True)
def _quick_collections() -> None:
    """What the imports made is never looked at again: a collection after every test costs nothing then."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


@pytest.fixture(autouse=True)
def leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """After the test no object of the engine is alive; see robustness.md, "Leaks"."""
    yield
    if request.node.stash.get(_failed, False):
        return  # its traceback keeps objects alive
    end = time.monotonic() + LEAK_DEADLINE
    gc.collect()
    while any(live_counts().values()) and time.monotonic() < end:
        time.sleep(0.005)
        gc.collect()
    counts = live_counts()
    assert not any(counts.values()), f"left behind: {counts}"


class LoopErrors(list[dict[str, Any]]):
    """What the loop's exception handler was told; ``expected`` when the test means it."""

    expected = False

    def expect(self) -> LoopErrors:
        self.expected = True
        return self


@pytest.fixture(autouse=True)
async def loop_errors() -> AsyncIterator[LoopErrors]:
    """Fails the test when anything is told to the loop's exception handler, unless it calls ``expect()``."""
    errors = LoopErrors()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    yield errors
    gc.collect()  # a task that nobody awaited tells when it goes
    try:
        assert errors.expected or errors == [], "the loop's exception handler was called"
    finally:
        errors.clear()  # tracebacks keep objects alive


@pytest.fixture
def unused_port() -> int:
    """A UDP port of 127.0.0.1 where nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

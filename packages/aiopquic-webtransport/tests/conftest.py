"""What every test has: a loop, sessions on the loopback interface, and the checks of aiopquic.testing.fixtures."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable

import hypothesis
import pytest

from aiopquic.testing.fixtures import (  # noqa: F401 - fixtures and a hook
    LoopErrors,
    pytest_runtest_makereport,
    quic_certificate,
    quic_leak_check,
    quic_loop_errors,
)
from aiopquic_webtransport.testing import webtransport, webtransport_pair  # noqa: F401 - fixtures

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

#: The loop that the tests run on: "asyncio", or "uvloop".
TEST_LOOP = os.environ.get("AIOPQUIC_TEST_LOOP", "asyncio")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    if TEST_LOOP == "uvloop":
        import uvloop

        return {"uvloop": uvloop.new_event_loop}
    if TEST_LOOP == "asyncio":
        return {"asyncio": asyncio.new_event_loop}
    raise pytest.UsageError(f"AIOPQUIC_TEST_LOOP is asyncio or uvloop, not {TEST_LOOP!r}")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what the shell exports."""
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)


@pytest.fixture(scope="session", autouse=True)
def _quick_collections() -> None:
    """What the imports made is never looked at again: a collection after every test costs nothing then."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def leaks(quic_leak_check: None) -> None:  # noqa: F811 - the fixture
    """After the test no object of the engine is alive; see robustness.md, "Leaks"."""


@pytest.fixture(autouse=True)
def loop_errors(quic_loop_errors: LoopErrors) -> LoopErrors:  # noqa: F811 - the fixture
    """Fails the test when anything is told to the loop's exception handler, unless it calls ``expect()``."""
    return quic_loop_errors

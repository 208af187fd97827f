"""Fixtures for pytest: certificates, a loopback pair, an echo server, a simulated network, what is left behind.

A project takes them by one line of its top ``conftest.py``::

    pytest_plugins = ["aiopquic.testing.fixtures"]

They need pytest, pytest-asyncio and cryptography, which the extra ``aiopquic-core[testing]`` installs.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, NamedTuple

from aiopquic import streams
from aiopquic.testing.certificates import CertificateFiles, dev_certificate
from aiopquic.testing.leaks import assert_no_leaks
from aiopquic.testing.loopback import ALPN, Loopback, Pair, RunningServer
from aiopquic.testing.protocols import Echo
from aiopquic.testing.simnet import Link, SimulatedNetwork

try:
    import cryptography  # noqa: F401 - dev_certificate() needs it
    import pytest
    import pytest_asyncio
except ImportError as error:
    raise ImportError(
        f"the fixtures need {error.name}: pip install 'aiopquic-core[testing]'", name=error.name
    ) from error

__all__ = [
    "CertificateFiles",
    "LoopErrors",
    "StreamsPair",
    "pytest_runtest_makereport",
    "quic_certificate",
    "quic_connections",
    "quic_echo_server",
    "quic_leak_check",
    "quic_loop_errors",
    "quic_loopback",
    "quic_network",
    "quic_pair",
]

_failed = pytest.StashKey[bool]()
_networks = pytest.StashKey[list[SimulatedNetwork]]()


@pytest.fixture(scope="session")
def quic_certificate(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    """A self-signed certificate for localhost, 127.0.0.1 and ::1, new in every run of the tests."""
    return CertificateFiles(*dev_certificate().write(tmp_path_factory.mktemp("quic_certificate")))


@pytest.fixture
def quic_loopback(quic_certificate: CertificateFiles) -> Loopback:
    """Servers on 127.0.0.1 and clients that trust them, with any protocols and settings."""
    return Loopback(*quic_certificate)


@pytest_asyncio.fixture
async def quic_pair(quic_loopback: Loopback) -> AsyncIterator[Pair]:
    """A connection: ``quic_pair.client`` and ``quic_pair.peer`` are the protocols of its two ends."""
    async with quic_loopback.pair() as pair:
        yield pair


@pytest_asyncio.fixture
async def quic_echo_server(quic_loopback: Loopback) -> AsyncIterator[RunningServer]:
    """A server that sends back what comes on bidirectional streams; its ALPN is "test"."""
    async with quic_loopback.server(Echo) as server:
        yield server


@pytest.fixture
def quic_network(request: pytest.FixtureRequest) -> Callable[..., SimulatedNetwork]:
    """Make simulated networks: a function that takes a seed and a link, and gives a network to ``run`` code on.

    It takes what :class:`SimulatedNetwork` takes, with ``qlog=True`` when left out. When the test fails, its report has
    the seed and the folder of the qlogs, which are kept.
    """
    made = request.node.stash[_networks] = []

    def make(seed: int = 0, *, link: Link | None = None, qlog: bool = True) -> SimulatedNetwork:
        made.append(SimulatedNetwork(seed, link=link, qlog=qlog))
        return made[-1]

    return make


class StreamsPair(NamedTuple):
    """The two ends of one connection of the streams API."""

    client: streams.Connection
    peer: streams.Connection


@pytest_asyncio.fixture
async def quic_connections(quic_certificate: CertificateFiles) -> AsyncIterator[StreamsPair]:
    """A connection of the streams API: ``quic_connections.client``, and ``peer`` on the server."""
    accepted: asyncio.Future[streams.Connection] = asyncio.get_running_loop().create_future()

    async def handle(connection: streams.Connection) -> None:
        accepted.set_result(connection)
        await connection.wait_closed()

    certificate, private_key = quic_certificate
    async with (
        streams.serve(handle, "127.0.0.1", 0, alpn=[ALPN], certificate=certificate, private_key=private_key) as server,
        streams.connect("127.0.0.1", server.port, alpn=[ALPN], cafile=certificate) as client,
    ):
        yield StreamsPair(client, await accepted)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember which tests have failed: their tracebacks keep objects alive, which is no leak."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
        notes = [note for network in item.stash.get(_networks, []) for note in network.keep()]
        if notes:
            report.sections.append(("simulated network", "\n".join(notes)))
    return report


@pytest_asyncio.fixture
async def quic_leak_check(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """The test leaves no engine, connection, stream, chunk or event behind.

    For ``pytest.mark.usefixtures`` or an autouse fixture: it has to begin before the test's other fixtures.
    """
    check = await assert_no_leaks().__aenter__()
    yield
    request.node.funcargs.clear()  # the other fixtures are over, and pytest keeps their values until later
    if not request.node.stash.get(_failed, False):
        await check.__aexit__(None, None, None)


class LoopErrors(list[dict[str, Any]]):
    """What the loop's exception handler was told, as its ``context`` dictionaries."""

    expected = False

    def expect(self) -> LoopErrors:
        """The test means it: nothing fails because of what is here."""
        self.expected = True
        return self


@pytest_asyncio.fixture
async def quic_loop_errors() -> AsyncIterator[LoopErrors]:
    """Fails the test when the loop's exception handler is called, unless it has called ``expect()``.

    Handlers that raise, and tasks whose exception nobody retrieves, end there and nowhere else.
    """
    errors = LoopErrors()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    yield errors
    gc.collect()  # a task that nobody awaited tells when it goes
    try:
        told = "; ".join(f"{context.get('message')}: {context.get('exception')!r}" for context in errors)
        assert errors.expected or not errors, f"the loop's exception handler was called: {told}"
    finally:
        errors.clear()  # tracebacks keep objects alive

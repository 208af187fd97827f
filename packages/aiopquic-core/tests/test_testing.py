"""What aiopquic.testing gives to others: checks that can fail, and words that say what to do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from aiopquic.asyncio import connect, serve
from aiopquic.testing import assert_no_leaks
from aiopquic.testing.fixtures import StreamsPair
from aiopquic.testing.loopback import Loopback, Pair, RunningServer

TIME_LIMIT = 60


async def test_a_leak_is_told_by_kind(quic_loopback: Loopback):
    server = await serve("127.0.0.1", 0, configuration=quic_loopback.server_configuration())
    manager = connect("127.0.0.1", server.port, configuration=quic_loopback.client_configuration())
    check = assert_no_leaks(timeout=0.1)
    async with check:
        pass
    await manager.__aenter__()
    with pytest.raises(AssertionError, match=r"^left behind: 1 engine, 2 connections\. Close "):
        await check.__aexit__(None, None, None)
    await manager.__aexit__(None, None, None)
    await server.aclose()


def test_a_leak_of_a_whole_program(quic_loopback: Loopback):
    async def main() -> object:
        return await serve("127.0.0.1", 0, configuration=quic_loopback.server_configuration())

    with pytest.raises(AssertionError, match=r"^left behind: 1 engine\."), assert_no_leaks(timeout=0.1):
        server = asyncio.run(main())
    del server


async def test_what_was_there_before_may_stay(quic_loopback: Loopback):
    async def one_connection() -> None:
        async with connect("127.0.0.1", server.port, configuration=quic_loopback.client_configuration()) as client:
            _, writer = await client.create_stream()
            writer.write(b"hello")
            writer.close()

    settings = quic_loopback.server_configuration()
    async with await serve("127.0.0.1", 0, configuration=settings) as server, assert_no_leaks():
        await one_connection()


async def test_an_echo_server(quic_echo_server: RunningServer, quic_loopback: Loopback):
    async with quic_loopback.connect(quic_echo_server) as client:
        client.quic.send_stream_data(0, b"hello", end_stream=True)
        assert await client.wait_end(0) == b"hello"


async def test_a_pair_of_connections(quic_connections: StreamsPair):
    stream = await quic_connections.client.open_stream()
    await stream.write(b"hello", end_stream=True)
    assert await (await quic_connections.peer.accept_stream()).read_all() == b"hello"


async def test_an_exception_is_not_hidden_by_the_check(quic_loopback: Loopback):
    server = await serve("127.0.0.1", 0, configuration=quic_loopback.server_configuration())

    async def fails() -> None:
        async with (
            assert_no_leaks(timeout=0),
            connect("127.0.0.1", server.port, configuration=quic_loopback.client_configuration()),
        ):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    with pytest.raises(ZeroDivisionError), assert_no_leaks(timeout=0):
        raise ZeroDivisionError
    await server.aclose()


async def test_a_wait_that_is_in_vain_tells_what_came_instead(quic_pair: Pair):
    quic_pair.client.quic.send_stream_data(0, b"abc")
    await quic_pair.peer.wait_bytes(0, 3)
    with pytest.raises(AssertionError, match=r"no end of stream 0: \{0: 3\} within 0.01 s"):
        await quic_pair.peer.wait_end(0, timeout=0.01)


LEAKY = """
import asyncio
import pytest
from aiopquic.asyncio import serve

pytest_plugins = ["aiopquic.testing.fixtures"]
pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("quic_leak_check", "quic_loop_errors")]
kept = []

async def test_leaves_a_server(quic_loopback, monkeypatch):
    monkeypatch.setattr("aiopquic.testing.leaks.LeakCheck._is_waiting", lambda *_: False)
    kept.append(await serve("127.0.0.1", 0, configuration=quic_loopback.server_configuration()))

async def test_loses_an_exception(quic_loop_errors):
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)

async def test_fails_by_itself(quic_pair):
    assert False, "its own words"
"""


def test_the_fixtures_fail_tests(tmp_path: Path):
    """A server that is left, an exception that the loop was told: errors; a test that fails anyway fails once."""
    (tmp_path / "test_leaky.py").write_text(LEAKY)
    settings = ("-o", "asyncio_default_fixture_loop_scope=function", "-o", "addopts=", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *settings, "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
    )
    assert "1 failed, 2 passed, 2 errors" in done.stdout, done.stdout
    assert "left behind: 1 engine" in done.stdout
    assert "the loop's exception handler was called" in done.stdout
    assert "its own words" in done.stdout


@pytest.mark.parametrize("missing", ["cryptography", "pytest", "pytest_asyncio"])
def test_what_the_fixtures_need_is_named(missing: str):
    code = f"import sys; sys.modules[{missing!r}] = None; import aiopquic.testing.fixtures"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIME_LIMIT)
    last = done.stderr.splitlines()[-1]
    assert last == f"ImportError: the fixtures need {missing}: pip install 'aiopquic-core[testing]'"

"""Client connections share an engine; engines end with their loop and with the process, whoever forgot to close."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from aiopquic import close_idle_engines
from aiopquic._binding._engine import live_counts
from aiopquic.asyncio import connect
from aiopquic.exceptions import CertificateFileError, ConfigurationError
from aiopquic.quic import pool
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.dialing import dial
from aiopquic.quic.events import ConnectionTerminated
from aiopquic.testing.leaks import assert_no_leaks

from .certificates import Certificates
from .support import DEADLINE, Echo, Endpoints, Recorder, client_configuration, until

#: Seconds for a process that has nothing to wait for, on a busy machine.
EXIT_TIMEOUT = 60


def engine_of(protocol: Recorder) -> object:
    return protocol.quic._engine


def network_threads() -> int:
    """A thread that was joined may be in the list for a moment more: the kernel lets go of the joining one first."""
    count = 0
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            count += (task / "comm").read_text() == "aiopquic\n"
    return count


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_connections_share_an_engine(endpoints: Endpoints):
    """Equal settings, one socket: also at the same time, and with other application protocols and host names."""
    async with (
        endpoints.server(Echo, alpn_protocols=["test", "other"]) as server,
        endpoints.connect(server) as first,
        endpoints.connect(server, alpn_protocols=["other"], server_name="localhost") as second,
        endpoints.connect(server, idle_timeout=7.0) as third,
    ):
        assert engine_of(first) is engine_of(second)
        assert engine_of(first) is not engine_of(third)
        assert first.quic.local_address()[1] == second.quic.local_address()[1]
        assert second.quic.alpn == "other"
        first.quic.send_stream_data(0, b"one", end_stream=True)
        second.quic.send_stream_data(0, b"two", end_stream=True)
        assert await first.wait_end(0) == b"one"
        assert await second.wait_end(0) == b"two"
        first.close(3)
        await first.wait_for(ConnectionTerminated)
        second.quic.send_stream_data(4, b"three", end_stream=True)
        assert await second.wait_end(4) == b"three"


async def test_an_engine_of_its_own(endpoints: Endpoints, certificates: Certificates, unused_port: int):
    """``shared=False`` and ``local_port`` ask for one; it ends with its connection."""
    configuration = client_configuration(certificates)
    async with endpoints.server(Echo) as server, endpoints.connect(server) as shared:
        for own in ({"shared": False}, {"local_port": unused_port}):
            async with connect(
                "127.0.0.1", server.port, configuration=configuration, create_protocol=Recorder, **own
            ) as alone:
                assert engine_of(alone) is not engine_of(shared)
                engine = engine_of(alone)
            assert engine.is_stopped


async def test_many_begin_at_once(endpoints: Endpoints):
    """Connections that begin while the engine is being made wait for that one."""
    async with endpoints.server(Echo) as server:
        before = live_counts()["engines"]

        async def one() -> object:
            async with endpoints.connect(server) as client:
                return engine_of(client)

        engines = await asyncio.gather(*(one() for _ in range(20)))
        assert len(set(map(id, engines))) == 1
        assert live_counts()["engines"] == before + 1


@pytest.mark.threaded
async def test_linger(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch):
    """The next connection finds the engine; after a moment without one it is gone, and its thread."""
    monkeypatch.setattr(pool, "LINGER", 0.05)
    async with endpoints.server(Echo) as server:
        before = network_threads()
        async with endpoints.connect(server) as first:
            engine = engine_of(first)
        async with endpoints.connect(server) as second:
            assert engine_of(second) is engine
            await asyncio.sleep(0.2)  # longer than the engine would linger
            assert not engine.is_stopped
        del first, second
        await until(lambda: network_threads() == before, "the thread has ended")
        assert engine.is_stopped
        async with endpoints.connect(server) as third:
            assert engine_of(third) is not engine


async def test_close_idle_engines(endpoints: Endpoints):
    """Those without a connection end at once, the others are left alone."""
    async with endpoints.server(Echo) as server, endpoints.connect(server) as busy:
        async with endpoints.connect(server, idle_timeout=9.0) as other:
            idle = engine_of(other)
        await close_idle_engines()
        assert idle.is_stopped
        assert not engine_of(busy).is_stopped
        await close_idle_engines()
        busy.quic.send_stream_data(0, b"x", end_stream=True)
        assert await busy.wait_end(0) == b"x"


async def test_an_engine_that_was_stopped_is_not_used(endpoints: Endpoints):
    """A connection after the end of a shared engine gets a new one."""
    async with endpoints.server(Echo) as server, endpoints.connect(server) as first:
        await first.quic._engine.aclose()
        await first.wait_for(ConnectionTerminated)
        async with endpoints.connect(server) as second:
            assert engine_of(second) is not engine_of(first)


async def test_cancelled_beginnings(endpoints: Endpoints):
    """Cancelling a connect at any moment leaves no engine with a lease, and the others connect."""
    async with endpoints.server(Echo) as server:
        before = network_threads()

        async def one() -> None:
            async with endpoints.connect(server):
                await asyncio.sleep(0)

        for turns in range(0, 60, 3):
            task = asyncio.create_task(one())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if turns % 2:
                await close_idle_engines()
        await one()
        await close_idle_engines()
        await until(lambda: network_threads() == before, "no engine but the server's")


async def test_a_bad_trust_store_costs_only_its_own(endpoints: Endpoints, tmp_path: Path):
    """What is wrong with the settings is told to whoever gave them, each time."""
    (tmp_path / "empty.pem").write_text("")
    async with endpoints.server(Echo) as server:
        for _ in range(2):
            with pytest.raises(CertificateFileError, match=r"empty\.pem"):
                async with endpoints.connect(server, cafile=tmp_path / "empty.pem"):
                    pytest.fail("connected")
            with pytest.raises(ConfigurationError, match="QUIC needs an application protocol"):
                async with endpoints.connect(server, alpn_protocols=None):
                    pytest.fail("connected")
        async with endpoints.connect(server):
            pass


async def test_the_loop_is_not_blocked(endpoints: Endpoints):
    """Reading certifi's store and making an engine with it takes long, and nothing else waits for it."""
    gaps: list[float] = []

    async def watch() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    pool._pools.clear()
    async with endpoints.server(Echo) as server:
        watcher = asyncio.create_task(watch())
        with pytest.raises(ConnectionError):
            async with endpoints.connect(server, cafile=None):
                pytest.fail("the certificate is not one of certifi's")
        watcher.cancel()
    # The switch interval of the interpreter is 5 ms, and the machine may be busy: one look in 20 may be late.
    late = sorted(gaps)[-max(1, len(gaps) // 20) - 1]
    assert late < 0.02


def run_connection(certificates: Certificates, port: int) -> None:
    async def main() -> None:
        async with connect("127.0.0.1", port, configuration=client_configuration(certificates)):
            pass

    asyncio.run(main())


def test_loop_after_loop(certificates: Certificates):
    """``asyncio.run`` again and again: no thread, descriptor or object stays (robustness: leaks)."""
    with assert_no_leaks(), serving_thread(certificates) as port:
        run_connection(certificates, port)
        gc.collect()
        before = network_threads(), descriptors()
        for _ in range(5):
            run_connection(certificates, port)
        gc.collect()
        asyncio.run(until(lambda: network_threads() <= before[0], "the threads have ended"))
        assert descriptors() == before[1]


@pytest.mark.threaded
def test_a_loop_that_is_left_with_connections_open(certificates: Certificates):
    """Neither closed connections nor async generators shut down: closing the loop is enough."""
    with assert_no_leaks(), serving_thread(certificates) as port:
        configuration = client_configuration(certificates)
        threads = network_threads()
        quic = QuicConnection(configuration=configuration)
        loop = asyncio.new_event_loop()
        lease = loop.run_until_complete(dial("127.0.0.1", port, configuration, bind=quic._adopt))
        assert network_threads() == threads + 1
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        del lease, quic, loop
        gc.collect()
        asyncio.run(until(lambda: network_threads() == threads, "the thread has ended"))


class serving_thread:
    """A server on a loop of another thread."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        async with Endpoints(self._certificates).server() as server:
            self._port = server.port
            self._end = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self._end.wait()

    def __enter__(self) -> int:
        self._thread.start()
        assert self._ready.wait(DEADLINE)
        return self._port

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


# ---- the end of a process ----

PROGRAM = """
import asyncio, faulthandler, os, sys
faulthandler.dump_traceback_later(40, exit=True)
from aiopquic.asyncio import connect
from aiopquic.quic.configuration import QuicConfiguration

configuration = QuicConfiguration(alpn_protocols=["test"], cafile={cafile!r})

async def main():
    async with connect("127.0.0.1", {port}, configuration=configuration) as protocol:
        protocol._quic.send_stream_data(0, b"hello")
        {inside}

{outside}
"""

ENDS = {
    "closes": ("pass", "asyncio.run(main())"),
    "sys.exit": ("sys.exit(0)", "asyncio.run(main())"),
    "no exit of the context": (
        "await asyncio.sleep(60)",
        "loop = asyncio.new_event_loop()\ntask = loop.create_task(main())\nloop.run_until_complete(asyncio.sleep(2))\n",
    ),
    "a loop of a thread that ended": (
        "await asyncio.sleep(60)",
        "import threading\n"
        "kept = []\n"
        "def run():\n"
        "    loop = asyncio.new_event_loop()\n"
        "    kept.append((loop, loop.create_task(main())))\n"
        "    loop.run_until_complete(asyncio.sleep(2))\n"
        "thread = threading.Thread(target=run)\n"
        "thread.start()\n"
        "thread.join()\n",
    ),
    "a child of fork": (
        "await asyncio.sleep(60)",
        "loop = asyncio.new_event_loop()\n"
        "task = loop.create_task(main())\n"
        "loop.run_until_complete(asyncio.sleep(2))\n"
        "faulthandler.cancel_dump_traceback_later()  # its thread is not in the child, which would wait for it\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n",
    ),
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_process_ends(endpoints: Endpoints, certificates: Certificates, end: str):
    """With connections open it exits at once, and the peer is told (robustness: close and shutdown)."""
    inside, outside = ENDS[end]
    async with endpoints.server() as server:
        text = PROGRAM.format(cafile=str(certificates.good.cert), port=server.port, inside=inside, outside=outside)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", "-c", text, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            async with asyncio.timeout(EXIT_TIMEOUT):
                _, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode == 0, errors.decode()
        peer = await server.peer()
        ended = await peer.wait_for(ConnectionTerminated, timeout=5.0)  # far from the idle timeout
        assert ended.close_reason.is_remote

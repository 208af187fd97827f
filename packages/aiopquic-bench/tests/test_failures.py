"""A run that loses or changes a byte, stalls, or loses its peer gives a sentence and no figure."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psutil
import pytest

from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.streams import Connection, SendStream
from aiopquic_bench import peers, processes
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Window, check_totals
from aiopquic_bench.moving import Tally
from aiopquic_bench.pattern import LONGEST, PERIOD, Checker, pattern
from aiopquic_bench.problems import ExitCode, Problem
from aiopquic_bench.processes import measure_in_process
from aiopquic_bench.programs.low import LowStream
from aiopquic_bench.running import measure_once
from aiopquic_bench.serving import Report, Service
from aiopquic_webtransport import SendStream as SessionSendStream

MakeJob = Callable[..., Job]

Change = Callable[[bytes], bytes | None]

#: Whole seconds that a run could take; those that are ended on the way never take them.
LONG = 60.0


def plant(monkeypatch: pytest.MonkeyPatch, change: Change, *, from_client: bool, first: int = 4) -> None:
    """Hand every write of one side, from its ``first`` on, through ``change``; None drops it."""
    write = SendStream.write
    count = 0

    async def changed(stream: SendStream, data: Any, end_stream: bool = False) -> None:
        nonlocal count
        if stream._connection.is_client == from_client and data:
            count += 1
            if count >= first:
                found = change(bytes(data))
                if found is None:
                    await asyncio.sleep(0)
                    return
                data = found
        await write(stream, data, end_stream)

    monkeypatch.setattr(SendStream, "write", changed)


def flip_last_bit(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@contextmanager
def fails(exit_code: int, says: str) -> Iterator[None]:
    with pytest.raises(Problem, match=says) as caught:
        yield
    assert caught.value.exit_code == exit_code
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", ["up", "both", "up-100", "churn", "echo"])
def test_a_changed_byte_is_found_at_the_server(case: str, monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    first = 150 if case == "up-100" else 4  # behind the headers
    plant(monkeypatch, flip_last_bit, from_client=True, first=first)
    with fails(ExitCode.WRONG_BYTES, "at the server, byte \\d+ is not the one"):
        measure_once(make_job(case))


@pytest.mark.parametrize(
    ("case", "says"), [("down", "byte \\d+ is not"), ("churn", "came back otherwise"), ("echo", "not what was sent")]
)
def test_a_changed_byte_is_found_at_the_client(
    case: str, says: str, monkeypatch: pytest.MonkeyPatch, make_job: MakeJob
):
    plant(monkeypatch, flip_last_bit, from_client=False)
    with fails(ExitCode.WRONG_BYTES, says):
        measure_once(make_job(case))


def test_a_changed_byte_is_found_by_another_process(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    plant(monkeypatch, flip_last_bit, from_client=True)
    with fails(ExitCode.WRONG_BYTES, "at the server, byte"):
        measure_once(make_job("up", is_one_process=False))


def test_a_write_that_is_lost_on_the_way(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    dropped = iter([None])
    plant(monkeypatch, lambda data: next(dropped, data), from_client=True)
    with fails(ExitCode.WRONG_BYTES, "byte \\d+ is not the one"):
        measure_once(make_job("up", size=1000))


async def test_an_end_that_is_lost():
    class Counted:
        port = 0

        async def report(self, *, with_memory: bool = False) -> Report:
            return replace(Service(is_own_process=False, has_datagrams=False).report(), sent=7, received=5)

        async def wait_ended(self) -> str:
            raise AssertionError

    await check_totals(Counted(), Tally(sent=5, received=7))
    with fails(ExitCode.WRONG_BYTES, "the client sent 9 bytes and 5 arrived"):
        await check_totals(Counted(), Tally(sent=9, received=7))
    with fails(ExitCode.WRONG_BYTES, "the server sent 7 bytes and 6 arrived"):
        await check_totals(Counted(), Tally(sent=5, received=6))


def test_a_changed_datagram(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    send = Connection.send_datagram

    async def changed(connection: Connection, data: bytes) -> None:
        await send(connection, flip_last_bit(data))

    monkeypatch.setattr(Connection, "send_datagram", changed)
    with fails(ExitCode.WRONG_BYTES, "at the server, byte 0 is not"):
        measure_once(make_job("datagrams", size=9))


def test_datagrams_that_are_lost_are_counted(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    send = Connection.send_datagram

    async def every_other(connection: Connection, data: bytes) -> None:
        if data[7] % 2:
            await send(connection, data)

    monkeypatch.setattr(Connection, "send_datagram", every_other)
    assert measure_once(make_job("datagrams", size=100))["lost_percent"] >= 49


def test_an_echo_of_a_datagram_that_is_changed(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    send = Connection.send_datagram

    async def changed(connection: Connection, data: bytes) -> None:
        await send(connection, data if connection.is_client else flip_last_bit(data))

    monkeypatch.setattr(Connection, "send_datagram", changed)
    with fails(ExitCode.WRONG_BYTES, "byte \\d+ is not"):
        measure_once(make_job("datagram-echo", size=100))


def test_echoes_of_datagrams_that_are_lost_are_counted(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    send = Connection.send_datagram
    count = 0

    async def every_other(connection: Connection, data: bytes) -> None:
        nonlocal count
        count += not connection.is_client
        if connection.is_client or count % 2:
            await send(connection, data)

    monkeypatch.setattr(Connection, "send_datagram", every_other)
    assert measure_once(make_job("datagram-echo", size=100))["lost_percent"] > 25


def test_a_session_that_is_not_resumed(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    connect = Job.connect
    monkeypatch.setattr(Job, "connect", lambda job, port, **settings: connect(job, port))
    with fails(ExitCode.FAILED, "did not resume the session before it"):
        measure_once(make_job("handshakes-resumed"))


def test_early_data_that_is_not_taken(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    monkeypatch.setattr(
        "aiopquic_bench.job.QuicConfiguration",
        lambda **settings: QuicConfiguration(**{**settings, "early_data": False}),
    )
    with fails(ExitCode.FAILED, "did not take the 0-RTT data"):
        measure_once(make_job("handshakes-0rtt", api="asyncio"))


@pytest.mark.parametrize(("from_client", "says"), [(True, "at the server, byte \\d+"), (False, "byte \\d+ is not")])
def test_a_changed_byte_under_the_low_level_api(
    from_client: bool, says: str, monkeypatch: pytest.MonkeyPatch, make_job: MakeJob
):
    write, count = LowStream.write, 0

    async def changed(stream: LowStream, data: Any, end_stream: bool = False) -> None:
        nonlocal count
        count += stream.is_client == from_client and bool(data)
        await write(stream, flip_last_bit(bytes(data)) if data and count == 4 else data, end_stream)

    monkeypatch.setattr(LowStream, "write", changed)
    with fails(ExitCode.WRONG_BYTES, says):
        measure_once(make_job("both", api="low", size=1000))


@pytest.mark.parametrize(("from_client", "says"), [(True, "at the server, byte \\d+"), (False, "byte \\d+ is not")])
def test_a_changed_byte_on_a_session_of_webtransport(
    from_client: bool, says: str, monkeypatch: pytest.MonkeyPatch, make_job: MakeJob
):
    write, count = SessionSendStream.write, 0

    async def changed(stream: SessionSendStream, data: Any, end_stream: bool = False) -> None:
        nonlocal count
        count += stream.session.is_client == from_client and bool(data)
        await write(stream, flip_last_bit(bytes(data)) if data and count == 4 else data, end_stream)

    monkeypatch.setattr(SessionSendStream, "write", changed)
    with fails(ExitCode.WRONG_BYTES, says):
        measure_once(make_job("both", api="webtransport", size=1000))


def test_a_stall_has_a_deadline(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    write = SendStream.write

    async def hang(stream: SendStream, data: Any, end_stream: bool = False) -> None:
        if not stream._connection.is_client:
            await asyncio.get_running_loop().create_future()
        await write(stream, data, end_stream)

    monkeypatch.setattr(SendStream, "write", hang)
    with fails(ExitCode.STALLED, "echo stalled: it was not over 0.4 s after its start"):
        measure_once(make_job("echo", warm_up=0.1, patience=0.2))


def test_nothing_counted_is_no_figure(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    plant(monkeypatch, lambda data: None, from_client=False, first=1)
    with fails(ExitCode.STALLED, "down stalled"):
        measure_once(make_job("down", patience=0.5))


def test_a_silent_client_process_has_a_deadline(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    monkeypatch.setattr(processes, "SLACK", -LONG)
    with fails(ExitCode.STALLED, "its process was silent"):
        measure_in_process(make_job("up", duration=LONG - 0.2, warm_up=0.1, patience=0.2))


def signal_server(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, then: Callable[[], object] = lambda: None
) -> None:
    """Send a signal to the server process once the client is connected and its measurement begins."""
    watch = Window.watch

    async def send(job: Job, peer: peers.Peer, tally: Tally) -> Window:
        (server,) = (child for child in psutil.Process().children() if "aiopquic_bench.server" in child.cmdline())
        server.send_signal(number)
        then()
        return await watch(job, peer, tally)

    monkeypatch.setattr(Window, "watch", send)


def test_a_server_that_vanishes(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    signal_server(monkeypatch, signal.SIGKILL)
    with fails(ExitCode.PEER, "vanished with signal 9"):
        measure_once(make_job("up", is_one_process=False, duration=LONG))


def test_a_server_that_is_busy(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob):
    signal_server(monkeypatch, signal.SIGSTOP, then=lambda: monkeypatch.setattr(peers, "ANSWER_TIMEOUT", 0.5))
    with fails(ExitCode.PEER, "is busy: no answer within 0.5 s"):
        measure_once(make_job("up", is_one_process=False, duration=LONG))


def test_a_server_that_cannot_start(make_job: MakeJob, tmp_path: Any):
    with fails(ExitCode.PEER, "the server could not start: .*certificate"):
        measure_once(make_job("up", is_one_process=False, certificates=str(tmp_path)))


def test_a_client_process_that_fails(monkeypatch: pytest.MonkeyPatch, make_job: MakeJob, tmp_path: Any):
    program = tmp_path / "fails"
    program.write_text("#!/bin/sh\nread line\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(processes.sys, "executable", str(program))
    with fails(ExitCode.PEER, "ended with exit code 3"):
        measure_in_process(make_job("up"))


@pytest.mark.parametrize("size", [1, 100, PERIOD, LONGEST, LONGEST * 2])
def test_the_checker_knows_the_pattern(size: int):
    sent = b"".join(bytes(pattern(start + 5, min(LONGEST, size - start))) for start in range(0, size, LONGEST))
    checker = Checker(5)
    checker.check(sent[: size // 3])
    checker.check(memoryview(sent)[size // 3 :])
    assert checker.count == size


@pytest.mark.parametrize("change", [lambda d: d[1:], lambda d: flip_last_bit(d), lambda d: b"x" + d, lambda d: d[::-1]])
def test_the_checker_finds_changes(change: Change):
    checker = Checker(0)
    with fails(ExitCode.WRONG_BYTES, "byte \\d+ is not the one"):
        checker.check(change(bytes(pattern(0, 5000))))

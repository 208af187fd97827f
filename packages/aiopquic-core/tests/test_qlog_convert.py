"""aiopquic.qlog.convert: our files in the present drafts' terms, and what Cloudflare's qlog crate reads in them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import aiopquic
from aiopquic import qlog
from aiopquic._qlog_schema import EventTerms
from aiopquic.exceptions import StreamResetError
from aiopquic.testing.simnet import Link, SimulatedNetwork, simulated

FIRST, SECOND = "10.9.0.1", "10.9.1.1"
"The client's two interfaces."
SENT = bytes(range(256)) * 800
CLOSE_CODE = 9
CLOSE_REASON = 'a "b" \\ é'

#: Typed in the crate: everything but these two, of which it has the name of an earlier draft.
UNTYPED = {"quic:udp_datagrams_sent", "quic:udp_datagrams_received"}

HEADER = (
    '{ "qlog_version": "draft-00", "title": "picoquic", "traces": [\n'
    '{ "vantage_point": { "name": "backend-67", "type": "client" },\n'
    '"title": "picoquic", "description": "0102","event_fields": ["relative_time", "category", "event", "data"],\n'
    '"configuration": {"time_units": "us"},\n'
    '"common_fields": { "protocol_type": "QUIC_HTTP3", "reference_time": "77"},\n'
    '"events": ['
)
EVENTS = (
    '\n[1500, "transport", "spin_bit_updated", { "state": true }]',
    ',\n[2500, "info", "message", { "message": "caf\\u00c3\\u00a9"}]',
)
END = "]}]}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "trace.qlog"
    path.write_text(text)
    return path


def convert(path: Path) -> tuple[qlog.Conversion, list[dict[str, Any]]]:
    target = path.with_suffix(".sqlog")
    return qlog.convert(path, target), qlog.load(target)


def terms(kind: str, **data: Any) -> list[tuple[str, dict[str, Any]]]:
    return list(EventTerms().terms(kind, data))


def test_a_whole_file(tmp_path: Path) -> None:
    """Milliseconds, names with their schema, text of UTF-8; the header says what form it is."""
    path = write(tmp_path, HEADER + "".join(EVENTS) + END)
    done, events = convert(path)
    assert done == (2, True)
    assert events == [
        {"time": 1.5, "name": "quic:spin_bit_updated", "data": {"state": True}},
        {"time": 2.5, "name": "loglevel:info", "data": {"message": "café"}},
    ]
    header = qlog.load_header(path.with_suffix(".sqlog"))
    assert header["serialization_format"] == "application/qlog+json-seq"
    assert header["trace"]["vantage_point"] == {"type": "client"}
    assert header["trace"]["common_fields"]["clock_at_start_us"] == 77


@pytest.mark.parametrize("whole", [0, 1, 2])
def test_a_file_that_was_cut_off(tmp_path: Path, whole: int) -> None:
    """At every byte behind the header: the whole events are there, and that it isn't complete is told."""
    head = HEADER + "".join(EVENTS[:whole])
    rest = (*EVENTS, END)[whole]
    for length in range(len(rest)):
        done, events = convert(write(tmp_path, head + rest[:length]))
        assert done == (len(events), False)
        assert len(events) == whole


def test_a_file_without_events(tmp_path: Path) -> None:
    done, events = convert(write(tmp_path, HEADER + END))
    assert (done, events) == ((0, True), [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not start as picoquic starts one"),
        ("x" * 100_000, "does not start as picoquic starts one"),
        (HEADER[:-20], "does not start as picoquic starts one"),
        (HEADER.replace("draft-00", "0.3") + END, "does not start as picoquic starts one"),
        (HEADER.replace("draft-00", 'draft-00"') + END, "its header is not JSON"),
        (HEADER + EVENTS[0].replace(":", "") + EVENTS[1] + END, "event 1 is not JSON"),
        (HEADER + EVENTS[0] + EVENTS[1].replace("}", "") + END, "event 2 is not JSON"),
        (HEADER + EVENTS[0].replace("1500,", "") + EVENTS[1] + END, "3 values for 4 event_fields"),
        (
            HEADER + EVENTS[0] + EVENTS[1].replace('"message": ', '"text": ') + END,
            "event 2 is not as picoquic writes it",
        ),
    ],
)
def test_what_is_no_file_of_ours(tmp_path: Path, text: str, reason: str) -> None:
    """The error names the file, and nothing is left behind."""
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=reason) as caught:
        convert(path)
    assert str(path) in str(caught.value)
    assert not path.with_suffix(".sqlog").exists()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        qlog.convert(tmp_path / "nothing.qlog", tmp_path / "a.sqlog")
    with pytest.raises(FileNotFoundError):
        qlog.convert(write(tmp_path, HEADER + END), tmp_path / "nothing" / "a.sqlog")


def test_delays_of_acknowledgements() -> None:
    """In the sender's units (RFC 9000 section 18.2), which its transport parameters say."""
    frame = {"frame_type": "ack", "ack_delay": 500, "acked_ranges": [[5, 9], [3, 3], [-1, -1]]}
    packet = {"packet_type": "1RTT", "header": {"packet_size": 30, "packet_number": 1}, "frames": [frame]}
    trace = EventTerms()
    list(trace.terms("parameters_set", {"owner": "remote", "ack_delay_exponent": 1}))
    [(_, received)] = trace.terms("packet_received", packet)
    [(_, sent)] = trace.terms("packet_sent", packet)
    assert received["frames"] == [{"frame_type": "ack", "ack_delay": 1.0, "acked_ranges": [[5, 9], [3]]}]
    assert sent["frames"][0]["ack_delay"] == 4.0
    assert (received["raw"]["length"], sent["raw"]["length"]) == (30, 46)


def test_parameters() -> None:
    """Names of the schema, flags, those that nobody knows, and those that make no sense."""
    [(name, data)] = terms(
        "parameters_set", owner="remote", idle_timeout=5, disable_migration="", min_ack_delay="invalid", ff73db="01"
    )
    assert name == "quic:parameters_set"
    assert data == {
        "initiator": "remote",
        "max_idle_timeout": 5,
        "disable_active_migration": True,
        "min_ack_delay_is_invalid": True,
        "unknown_parameters": [{"id": 0xFF73DB, "value": "01"}],
    }


def test_frames_that_the_schema_does_not_know() -> None:
    """Their number, and what they say; so for one that is broken off."""
    frames = [
        {"frame_type": "path_abandon", "path_id": 1, "reason": 0},
        {"frame_type": "unknown", "unknown_frame_type": 0x1234},
        {"frame_type": "stream"},
    ]
    [(_, data)] = terms("packet_received", packet_type="1RTT", header={"packet_size": 30}, frames=frames)
    assert [frame["frame_type_bytes"] for frame in data["frames"]] == [0x3E75, 0x1234, 8]
    assert data["frames"][0]["path_id"] == 1


def test_addresses() -> None:
    """A port has its bytes the right way; another address is another tuple."""
    here, there = {"ip_v4": "10.0.0.1", "port_v4": 0x3412}, {"ip_v6": "::1", "port_v6": 0xBB01}
    trace = EventTerms()
    [(first, _)] = trace.terms("datagram_sent", {"byte_length": 9, "addr_to": there})
    [(started, data), _] = trace.terms("datagram_received", {"byte_length": 9, "addr_to": here})
    [(moved, assigned), _] = trace.terms("datagram_sent", {"byte_length": 9, "addr_from": there})
    assert (first, started, moved) == ("quic:udp_datagrams_sent", "quic:connection_started", "quic:tuple_assigned")
    assert data == {"local": {"ip_v4": "10.0.0.1", "port_v4": 0x1234}, "remote": {"ip_v6": "::1", "port_v6": 443}}
    assert assigned["tuple_local"] == data["remote"]


def reader() -> str:
    return os.environ.get("AIOPQUIC_QLOG_READER", "")


def read(*paths: Path) -> list[dict[str, Any]]:
    """What the crate says of the files. A record that is no event of qlog to it is an error."""
    assert Path(reader()).is_file(), "./dev nox -s qlog builds it"
    done = subprocess.run([reader(), *map(str, paths)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def transfer_with_everything(folder: Path) -> None:
    """Losses, datagrams, a move to another interface, two paths, a reset, and an end with an error."""

    @simulated(seed=7, link=Link(mbps=10, delay=0.03, loss=0.02))
    async def transfer(network: SimulatedNetwork) -> None:
        host, client_host = network.host("server"), network.host("mobile", FIRST, SECOND)
        files = network.certificate()

        async def handle(connection: aiopquic.Connection) -> None:
            async for stream in connection.incoming_streams(bidirectional=True):
                with contextlib.suppress(StreamResetError):
                    await stream.write(await stream.read_all(limit=1 << 20), end_stream=True)

        settings: dict[str, Any] = {"alpn": ["text"], "qlog_dir": folder, "max_paths": 2}
        settings["max_datagram_frame_size"] = 65535
        identity: dict[str, Any] = {"certificate": files.certificate, "private_key": files.private_key}
        with host:
            server = await aiopquic.serve(handle, host.address, 443, **identity, **settings)
        with client_host:
            async with server, aiopquic.connect("server", 443, cafile=files.certificate, **settings) as connection:
                stream = await connection.open_stream()
                writing = asyncio.create_task(stream.write(SENT, end_stream=True))
                await connection.send_datagram(b"datagram")
                await connection.add_path(SECOND)
                await writing
                assert await stream.read_all() == SENT
                other = await connection.open_stream()
                await other.write(b"x")
                other.reset(7)
                await connection.ping()
                connection.close(CLOSE_CODE, CLOSE_REASON)
            await asyncio.sleep(2)  # of the simulated clock: the close arrives
        await aiopquic.close_idle_engines()

    transfer()


@pytest.mark.qlog
def test_another_reader_takes_our_files(tmp_path: Path) -> None:
    """Typed, event by event, and it finds what happened: the bytes, the losses, the paths, the end."""
    transfer_with_everything(tmp_path)
    sources = [next(tmp_path.glob(f"*.{role}.qlog")) for role in ("client", "server")]
    originals = [qlog.load(path) for path in sources]
    for path in sources:
        assert convert(path)[0].complete
    ours, theirs = read(*(path.with_suffix(".sqlog") for path in sources))
    for summary, original, role in zip((ours, theirs), originals, ("client", "server"), strict=True):
        assert set(summary["untyped"]) == UNTYPED
        assert summary["header"]["trace"]["vantage_point"]["type"] == role
        for name in ("packet_sent", "packet_received", "packet_lost"):
            assert summary["typed"][f"quic:{name}"] == sum(event["event"] == name for event in original)
        assert summary["typed"]["quic:connection_started"] == 1
        assert summary["typed"]["quic:tuple_assigned"] >= 1
        assert summary["stream_bytes"] >= len(SENT)
    assert ours["sent"]["datagram"] >= 1
    assert ours["sent"]["reset_stream"] >= 1
    assert ours["sent"]["path_challenge"] >= 1
    assert ours["closes"][0]["error_code"] == CLOSE_CODE
    assert ours["closes"][0]["error_space"] == "application"
    assert ours["closes"][0]["reason"] == CLOSE_REASON


KILLED = """
import asyncio, os, signal, sys
import aiopquic
from aiopquic.testing import dev_certificate

CERTIFICATE = dev_certificate()

async def handle(connection):
    async for stream in connection.incoming_streams(bidirectional=True):
        await stream.write(await stream.read_all(limit=1 << 22), end_stream=True)

async def main():
    identity = {"certificate": CERTIFICATE.certificate_pem, "private_key": CERTIFICATE.private_key_pem}
    settings = {"alpn": ["killed"], "qlog_dir": sys.argv[1]}
    async with aiopquic.serve(handle, "127.0.0.1", 0, **identity, **settings) as server:
        async with aiopquic.connect("127.0.0.1", server.port, cadata=CERTIFICATE.certificate_pem, **settings) as client:
            stream = await client.open_stream()
            await stream.write(bytes(1 << 21), end_stream=True)
            await stream.read_all(limit=1 << 22)
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.qlog
def test_another_reader_takes_what_a_killed_process_left(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=60)
    sources = list(tmp_path.glob("*.qlog"))
    assert len(sources) == 2
    for path in sources:
        assert not convert(path)[0].complete
    for summary in read(*tmp_path.glob("*.sqlog")):
        assert set(summary["untyped"]) == UNTYPED
        assert summary["typed"]["quic:packet_received"] > 10


@pytest.mark.qlog
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"quic:packet_sent"', b'"quic:packet_sent'),
        (b'"time":', b'"moment":'),
        (b'"serialization_format":', b'"format":'),
        (b'"packet_type":"initial"', b'"packet_type":"first"'),
        (b"\x1e", b""),
    ],
)
def test_another_reader_refuses_what_is_damaged(tmp_path: Path, old: bytes, new: bytes) -> None:
    """So that its word is worth something: a record it can't read, and one that is not as its schema has it."""
    transfer_with_everything(tmp_path)
    source = next(tmp_path.glob("*.client.qlog"))
    convert(source)
    path = source.with_suffix(".sqlog")
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(AssertionError):
        assert set(read(path)[0]["untyped"]) == UNTYPED

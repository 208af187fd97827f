"""aiopquic.qlog: both forms of the files, those of our own engine, and what is no qlog file."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from aiopquic import close_idle_engines
from aiopquic._binding._transport import TransportContext
from aiopquic.asyncio import connect, serve
from aiopquic.exceptions import ConfigurationError
from aiopquic.qlog import load, load_header
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.testing.simnet import Link, SimulatedNetwork, simulated

from .support import Echo, Endpoints

CLASSIC: dict[str, Any] = {
    "qlog_version": "draft-00",
    "title": "two traces",
    "traces": [
        {"event_fields": ["relative_time", "event", "data"], "events": [[0, "sent", {"size": 1}], [7, "lost", {}]]},
        {"vantage_point": {"type": "server"}, "events": [{"time": 3, "name": "transport:packet_sent"}]},
    ],
}
HEADER: dict[str, Any] = {"file_schema": "urn:ietf:params:qlog:file:sequential", "trace": {"title": "one"}}


def sequence(*records: Any) -> bytes:
    return b"".join(b"\x1e" + json.dumps(record).encode() + b"\n" for record in records)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "trace.qlog"
    path.write_bytes(content)
    return path


def test_one_object_with_traces(tmp_path: Path) -> None:
    """Arrays get the names of event_fields, objects stay; one trace after the other."""
    path = write(tmp_path, json.dumps(CLASSIC).encode())
    assert load(path) == [
        {"relative_time": 0, "event": "sent", "data": {"size": 1}},
        {"relative_time": 7, "event": "lost", "data": {}},
        {"time": 3, "name": "transport:packet_sent"},
    ]
    assert load(str(path)) == load(path)
    header = load_header(path)
    assert header["title"] == "two traces"
    assert header["traces"][1] == {"vantage_point": {"type": "server"}}


def test_a_sequence(tmp_path: Path) -> None:
    """RFC 7464: a record separator before each text, a newline behind it."""
    path = write(tmp_path, sequence(HEADER, {"time": 1, "name": "a"}, {"time": 2, "name": "b"}))
    assert [event["name"] for event in load(path)] == ["a", "b"]
    assert load_header(path) == HEADER


def test_a_sequence_of_arrays(tmp_path: Path) -> None:
    header = {"qlog_version": "0.3", "qlog_format": "JSON-SEQ", "trace": {"event_fields": ["time", "name"]}}
    path = write(tmp_path, sequence(header, [1, "a"]))
    assert load(path) == [{"time": 1, "name": "a"}]


def test_a_sequence_that_was_cut_off(tmp_path: Path) -> None:
    """The text that its writer was in the middle of is left out; one in the middle of the file is not."""
    whole = sequence(HEADER, {"time": 1, "name": "a"}, {"time": 2, "name": "b"})
    assert [event["name"] for event in load(write(tmp_path, whole[:-5]))] == ["a"]
    with pytest.raises(ValueError, match="record 2 is not JSON"):
        load(write(tmp_path, sequence(HEADER) + b'\x1e{"ti\n' + sequence({"time": 2, "name": "b"})))


def test_files_without_events(tmp_path: Path) -> None:
    assert load(write(tmp_path, sequence(HEADER))) == []
    assert load(write(tmp_path, b'{"qlog_version": "0.3", "traces": []}')) == []
    assert load(write(tmp_path, b'{"qlog_version": "0.3"}')) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b'{"qlog_version": "0.3", "traces": [', "it is not JSON"),
        (b"[]", "does not start with"),
        (b'{"traces": []}', "does not start with"),
        (b"\x1e", "does not start with"),
        (sequence({"time": 1}), "does not start with"),
        (b'\x1e{"qlog', "record 1 is not JSON"),
        (b'{"qlog_version": "0.3", "traces": {}}', "traces is not an array"),
        (b'{"qlog_version": "0.3", "traces": [1]}', "trace 1 is not an object"),
        (b'{"qlog_version": "0.3", "traces": [{"events": 1}]}', "events is not an array"),
        (b'{"qlog_version": "0.3", "traces": [{"events": [1]}]}', "an event is an object or an array, not 1"),
        (b'{"qlog_version": "0.3", "traces": [{"events": [[1, 2]]}]}', "2 values for 0 event_fields"),
    ],
)
def test_what_is_no_qlog_file(content: bytes, reason: str, tmp_path: Path) -> None:
    """Each error names the file and says what is wrong with it."""
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=reason) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for function in (load, load_header):
        with pytest.raises(FileNotFoundError):
            function(tmp_path / "nothing.qlog")


async def test_what_our_engine_writes(endpoints: Endpoints, tmp_path: Path) -> None:
    """The qlog of both ends of a connection: packets of both directions, times that never go back."""
    folders = [tmp_path / "server", tmp_path / "client"]
    for folder in folders:
        folder.mkdir()
    async with (
        endpoints.server(Echo, qlog_dir=folders[0]) as server,
        endpoints.connect(server, qlog_dir=folders[1]) as client,
    ):
        reader, writer = await client.create_stream()
        writer.write(b"hello")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b"hello"
    await close_idle_engines()  # a file is complete when its connection has drained, or with its engine
    for folder in folders:
        (path,) = folder.glob("*.qlog")
        events = load(path)
        kinds = {(event["category"], event["event"]) for event in events}
        assert {("transport", "packet_sent"), ("transport", "packet_received")} <= kinds
        assert load_header(path)["qlog_version"]
        assert load_header(path)["traces"][0]["vantage_point"]["type"] == folder.name


#: What the client of a simulated transfer sends on its stream.
SENT = bytes(range(256)) * 800

RESET = {"frame_type": "reset_stream", "stream_id": 4, "error_code": (1 << 62) - 1, "final_size": 0}

CLOSE = {
    "frame_type": "connection_close",
    "error_space": "application",
    "error_code": 9,
    "reason": 'a "b" \\ \n\u00c3\u00a9',  # each byte of UTF-8 as a character
}


def test_the_text_of_a_transfer(tmp_path: Path) -> None:
    """Numbers, hexadecimal digits, names and escaped characters are those of what was sent, at both ends."""

    @simulated(seed=7, link=Link(mbps=10, delay=0.03, loss=0.02))
    async def transfer(network: SimulatedNetwork) -> None:
        host = network.host("server")
        network.host("localhost")
        files = network.certificate()
        settings: dict[str, Any] = {"alpn_protocols": ["text"], "qlog_dir": str(tmp_path)}
        server_settings = QuicConfiguration(
            is_client=False, certificate_file=files.certificate, private_key_file=files.private_key, **settings
        )
        with host:
            server = await serve("server", 443, configuration=server_settings, create_protocol=Echo)
        client_settings = QuicConfiguration(cafile=files.certificate, **settings)
        async with server, connect("server", 443, configuration=client_settings) as client:
            reader, writer = await client.create_stream()
            writer.write(SENT)
            writer.write_eof()
            assert await reader.read() == SENT
            other = client._quic.get_next_available_stream_id()
            client._quic.send_stream_data(other, b"x")
            client._quic.reset_stream(other, (1 << 62) - 1)
            await client.ping()
            client.close(error_code=9, reason_phrase='a "b" \\ \n\u00e9')
            await asyncio.sleep(2)  # of the simulated clock: the close arrives
        await close_idle_engines()

    transfer()
    sent, received = (load(next(tmp_path.glob(f"*.{role}.qlog"))) for role in ("client", "server"))
    covered = bytearray(len(SENT))
    for event in sent:
        for frame in frames_of(event, "packet_sent"):
            if frame["frame_type"] == "stream" and frame["id"] == 0 and frame["length"]:
                start, length = frame["offset"], frame["length"]
                assert frame["begins_with"] == SENT[start : start + min(length, 8)].hex()
                covered[start : start + length] = b"x" * length
    assert covered == b"x" * len(SENT)
    for events, direction in ((sent, "packet_sent"), (received, "packet_received")):
        frames = [frame for event in events for frame in frames_of(event, direction)]
        ends = [frame for frame in frames if frame["frame_type"] in ("reset_stream", "connection_close")]
        assert RESET in ends
        assert CLOSE in ends
    numbers = [e["data"]["header"]["packet_number"] for e in sent if is_short(e, "packet_sent")]
    assert numbers == sorted(set(numbers))
    got = {e["data"]["header"]["packet_number"] for e in received if is_short(e, "packet_received")}
    assert got < set(numbers)
    ranges = [
        r
        for e in sent
        if is_short(e, "packet_received")
        for f in frames_of(e, "packet_received")
        if f["frame_type"] == "ack"
        for r in f["acked_ranges"]
    ]
    assert got >= {number for first, last in ranges for number in (first, last)}
    assert any(e["event"] == "packet_lost" and e["data"]["packet_number"] not in got for e in sent)
    assert all(type(value) is int for e in sent if e["event"] == "metrics_updated" for value in e["data"].values())
    times = [event["relative_time"] for event in sent]
    assert times == sorted(times)


def is_short(event: dict[str, Any], name: str) -> bool:
    return event["event"] == name and event["data"]["packet_type"] == "1RTT"


def frames_of(event: dict[str, Any], name: str) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = event["data"].get("frames", []) if event["event"] == name else []
    return frames


async def test_the_folder_from_the_environment(
    endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AIOPQUIC_QLOG_DIR stands in for a setting that is not made; one that is no folder is refused."""
    monkeypatch.setenv("AIOPQUIC_QLOG_DIR", str(tmp_path))
    async with endpoints.server(Echo) as server, endpoints.connect(server):
        pass
    await close_idle_engines()
    assert len([name for name in os.listdir(tmp_path) if name.endswith(".qlog")]) == 2
    monkeypatch.setenv("AIOPQUIC_QLOG_DIR", str(tmp_path / "nothing"))
    with pytest.raises(ConfigurationError, match=r"AIOPQUIC_QLOG_DIR '.*nothing' is not an existing folder"):
        TransportContext().start(alpn="a", verify_peer=False)


def read_as_json(folder: Path) -> Any:
    """The only qlog file there, without our reader."""
    (path,) = folder.glob("*.qlog")
    return json.loads(path.read_text(encoding="utf-8"))


async def test_our_files_for_other_readers(endpoints: Endpoints, tmp_path: Path) -> None:
    """What readers look for by the first drafts of qlog's main schema, whose form our files have and name."""
    async with endpoints.server(Echo) as server, endpoints.connect(server, qlog_dir=tmp_path) as client:
        reader, writer = await client.create_stream()
        writer.write(b"hello")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b"hello"
    await close_idle_engines()
    whole = read_as_json(tmp_path)
    assert whole["qlog_version"] == "draft-00"
    (trace,) = whole["traces"]
    assert trace["vantage_point"]["type"] == "client"
    assert trace["configuration"]["time_units"] == "us"
    assert int(trace["common_fields"]["reference_time"]) >= 0
    names = trace["event_fields"]
    assert {"relative_time", "category", "event", "data"} <= set(names)
    events = [dict(zip(names, event, strict=True)) for event in trace["events"]]
    assert all(isinstance(event["relative_time"], int) and event["relative_time"] >= 0 for event in events)
    assert all(isinstance(event["data"], dict) for event in events)
    assert {event["category"] for event in events} <= {"transport", "recovery", "security", "info", "path"}
    for event in events:
        if event["event"] in ("packet_sent", "packet_received"):
            assert event["data"]["packet_type"] in ("initial", "handshake", "0RTT", "1RTT")
            assert {"packet_size", "packet_number"} <= event["data"]["header"].keys()
            assert all("frame_type" in frame for frame in event["data"]["frames"])

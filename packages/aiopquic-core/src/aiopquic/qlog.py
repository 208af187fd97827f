"""Reading of qlog files, such as ``qlog_dir`` makes, into dicts, and conversion for the tools of others.

Both forms are read: one JSON object with its traces, and a sequence of JSON texts (RFC 7464, JSON-SEQ). ``qlog_dir``
makes files in the form of qlog's first drafts; :func:`convert` makes of them what tools of its present drafts read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aiopquic._qlog_schema import EventTerms, header_terms

__all__ = ["Conversion", "convert", "load", "load_header"]

_RECORD_SEPARATOR = b"\x1e"


def load(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Every event of the file, in its order; of several traces, one after the other.

    An event that the file writes as an array becomes a dict with the names of ``event_fields``, for picoquic
    ``relative_time`` (microseconds), ``category``, ``event`` and ``data``. The last text of a sequence is left out when
    its writer was cut off in the middle of it.

    Raises OSError when the file can't be read, ValueError with the place when it is no qlog file.
    """
    header, events = _read(path)
    if events is not None:
        fields = _fields(header.get("trace"))
        return [_event(path, event, fields) for event in events]
    return [
        _event(path, event, _fields(trace))
        for trace in _traces(path, header)
        for event in _list_of(path, trace, "events")
    ]


def load_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What the file says of itself: everything but the events. Raises what :func:`load` raises."""
    header, events = _read(path)
    if events is not None:
        return header
    traces = [{name: value for name, value in trace.items() if name != "events"} for trace in _traces(path, header)]
    return header | {"traces": traces}


class Conversion(NamedTuple):
    """What :func:`convert` did."""

    events: int
    """Events that were written."""
    complete: bool
    """Whether the file that was read had its end: False for that of a process that was killed, or of a connection that
    is still open."""


def convert(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Conversion:
    """Write a file of ``qlog_dir`` in the form of qlog's present drafts, for tools that read those.

    That is a sequence of JSON texts (RFC 7464) in the terms of draft-ietf-quic-qlog-main-schema-13 and
    draft-ietf-quic-qlog-quic-events-12; the usual end of ``target``'s name is ``.sqlog``. Event by event: memory
    doesn't grow with the file. Of a file that was cut off, every whole event is converted. Blocks for as long as it
    takes: of the order of 15 s per 100 MB.

    Raises OSError when a file can't be read or written, ValueError with the place when ``source`` is no file of
    ``qlog_dir`` or is damaged; then there is no ``target``.
    """
    with open(source, "rb") as lines:
        trace, is_empty = _header_of_picoquic(source, lines)
        with open(target, "wb") as file:
            try:
                file.write(_record(header_terms(trace)))
                done = _convert_events(source, lines, _fields(trace), file.write)
                return done._replace(complete=done.complete or is_empty)
            except BaseException:
                file.close()
                Path(target).unlink()
                raise


#: Ends the array of events, the trace, the array of traces and the file.
_END = "]}]}\n"


def _header_of_picoquic(path: str | os.PathLike[str], lines: Iterable[bytes]) -> tuple[dict[str, Any], bool]:
    """The trace without its events, from what is before them, and whether the file ends there."""
    text = b""
    for line in lines:
        text += line
        if line.startswith(b'"events": ['):
            whole = text.removesuffix(_END.encode())
            header = _parse(path, whole + _END.encode(), "its header")
            if isinstance(header, dict) and header.get("qlog_version") == "draft-00":
                return _traces(path, header)[0], len(whole) < len(text)
            break
        if len(text) > 1 << 16:
            break
    raise ValueError(f"{os.fspath(path)}: not a file of qlog_dir: it does not start as picoquic starts one")


def _convert_events(
    path: str | os.PathLike[str], lines: Iterable[bytes], fields: list[str], write: Callable[[bytes], object]
) -> Conversion:
    terms = EventTerms()
    decoder = json.JSONDecoder()
    count = 0
    complete = False
    for number, (text, is_last) in enumerate(_texts(lines), 1):
        try:
            value, end = decoder.raw_decode(text)
            complete = text[end:] == _END
            if not is_last and text[end:] != ",\n":
                raise ValueError("a comma is missing behind it")
        except ValueError as error:
            if is_last and not text.endswith(_END):
                break  # the writer was cut off in the middle of it
            raise ValueError(f"{os.fspath(path)}: event {number} is not JSON: {error}") from None
        event = _event(path, value, fields)
        path_id = {"path_id": event["path_id"]} if "path_id" in event else {}
        try:
            for name, data in terms.terms(event["event"], event["data"]):
                write(_record({"time": event["relative_time"] / 1000, "name": name, "data": data} | path_id))
                count += 1
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)}: event {number} is not as picoquic writes it: {error!r}") from None
    return Conversion(count, complete)


def _texts(lines: Iterable[bytes]) -> Iterator[tuple[str, bool]]:
    """The text of each event, which starts with a bracket at the start of a line, and whether it's the last."""
    text = b""
    for line in lines:
        if line.startswith(b"[") and text:
            yield text.decode("latin-1"), False  # picoquic escapes all but ASCII
            text = b""
        text += line
    if text.strip():
        yield text.decode("latin-1"), True


def _record(value: dict[str, Any]) -> bytes:
    return _RECORD_SEPARATOR + json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[Any] | None]:
    """The object that the file starts with, and the events of a sequence."""
    with open(path, "rb") as file:
        content = file.read()
    if content.lstrip(b" \t\r\n").startswith(_RECORD_SEPARATOR):
        records = list(_records(path, content))
        header = records.pop(0) if records else None
    else:
        records = None
        header = _parse(path, content, "it")
    if not isinstance(header, dict) or not ("qlog_version" in header or "file_schema" in header):
        raise ValueError(f"{os.fspath(path)}: not a qlog file: it does not start with a qlog_version or a file_schema")
    return header, records


def _records(path: str | os.PathLike[str], content: bytes) -> Iterator[Any]:
    texts = [text for text in content.split(_RECORD_SEPARATOR)[1:] if text.strip()]
    for number, text in enumerate(texts, 1):
        try:
            yield _parse(path, text, f"record {number}")
        except ValueError:
            if number == len(texts) and number > 1 and not text.endswith(b"\n"):
                return
            raise


def _parse(path: str | os.PathLike[str], text: bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:  # bytes that are no UTF-8 too
        raise ValueError(f"{os.fspath(path)}: not a qlog file: {what} is not JSON: {error}") from None


def _traces(path: str | os.PathLike[str], header: dict[str, Any]) -> list[dict[str, Any]]:
    traces = _list_of(path, header, "traces")
    for number, trace in enumerate(traces, 1):
        if not isinstance(trace, dict):
            raise ValueError(f"{os.fspath(path)}: trace {number} is not an object")
    return traces


def _list_of(path: str | os.PathLike[str], source: dict[str, Any], name: str) -> list[Any]:
    value = source.get(name, [])
    if not isinstance(value, list):
        raise ValueError(f"{os.fspath(path)}: {name} is not an array")
    return value


def _fields(trace: Any) -> list[str]:
    fields = trace.get("event_fields") if isinstance(trace, dict) else None
    return fields if isinstance(fields, list) else []


def _event(path: str | os.PathLike[str], event: Any, fields: list[str]) -> dict[str, Any]:
    if isinstance(event, dict):
        return event
    if not isinstance(event, list):
        raise ValueError(f"{os.fspath(path)}: an event is an object or an array, not {event!r}")
    if len(event) != len(fields):
        raise ValueError(f"{os.fspath(path)}: an event has {len(event)} values for {len(fields)} event_fields")
    return dict(zip(fields, event, strict=True))

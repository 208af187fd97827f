"""Reading of qlog files, such as ``qlog_dir`` makes, into dicts.

Both forms are read: one JSON object with its traces, and a sequence of JSON texts (RFC 7464, JSON-SEQ).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

__all__ = ["load", "load_header"]

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

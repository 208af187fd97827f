"""The file protocol ``aiopquic-file/1``: what goes over the wire.

A connection with this ALPN carries requests, each on a bidirectional stream of its own that the client
opens. A *message* is one JSON object in UTF-8 without line breaks, at most 32 KiB, ended by a line feed; its
member ``type`` names one of the classes below, whose fields are the other members. All of them are present,
and no others are.

======  =====================================  ========================================================
request client sends                           server sends
======  =====================================  ========================================================
list    ``list``, FIN                          ``entry`` for each file, ``end``, FIN
get     ``get``, FIN                           ``head``, the bytes from ``head.offset``, ``digest``, FIN
put     ``put``, then after the ``ready``:     ``ready``; after the client's FIN ``digest``, FIN
        the bytes from ``ready.offset``,
        ``digest``, FIN
stats   ``stats``, FIN                         ``path``, FIN
======  =====================================  ========================================================

*Names* are relative to the folder that is served, with ``/`` between their parts; bytes of a file name that
are not UTF-8 travel as the lone surrogates of Python's ``surrogateescape``. ``aiopquic.cli.paths`` says which
are refused.

*Failure.* In the place of any message the server may send ``failure`` and FIN; where bytes of a file are due,
it resets the stream with the failure's code instead. Whoever gives up a request resets its side and sends
STOP_SENDING.

*Resuming.* A receiver writes into a part file beside the target. ``get.offset`` is what the client has of it,
``ready.offset`` what the server has. ``digest`` is the SHA-256 of the whole file: both sides hash the part
that did not travel from their disks. When the two differ, the part is discarded. An offset past the end
counts as 0.

A request must be complete within ten seconds of its first byte.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from typing import Any, ClassVar

__all__ = [
    "ALPN",
    "MESSAGE_MAX",
    "Code",
    "Digest",
    "End",
    "Entry",
    "Failure",
    "Get",
    "Head",
    "List",
    "Message",
    "PathStats",
    "Put",
    "Ready",
    "RequestError",
    "Stats",
    "decode",
    "encode",
]

ALPN = "aiopquic-file/1"

#: Bytes of a message with its line feed: the longest name with every character escaped, and the rest.
MESSAGE_MAX = 32 * 1024

#: Sizes and times end where QUIC's varints do (RFC 9000 section 16).
NUMBER_MAX = (1 << 62) - 1


class Code(IntEnum):
    """Why a request failed: in ``failure``, in RESET_STREAM and in STOP_SENDING."""

    BAD_REQUEST = 1
    BAD_NAME = 2
    NOT_FOUND = 3
    NOT_A_FILE = 4
    EXISTS = 5
    READ_ONLY = 6
    DENIED = 7
    BUSY = 8
    NO_SPACE = 9
    DISK_ERROR = 10
    CHANGED = 11
    DIGEST_MISMATCH = 12
    TIMEOUT = 13
    CANCELLED = 14


SENTENCES: dict[int, str] = {
    Code.BAD_REQUEST: "the request is malformed",
    Code.BAD_NAME: "the name is not one that can be served",
    Code.NOT_FOUND: "no such file",
    Code.NOT_A_FILE: "not a regular file",
    Code.EXISTS: "exists already",
    Code.READ_ONLY: "the server is read-only: it was started without --writable",
    Code.DENIED: "permission denied",
    Code.BUSY: "another transfer is writing this file",
    Code.NO_SPACE: "no space left on the disk",
    Code.DISK_ERROR: "the disk failed",
    Code.CHANGED: "the file changed while it was sent",
    Code.DIGEST_MISMATCH: "the bytes that arrived have another SHA-256 than the file: the part was discarded",
    Code.TIMEOUT: "the request was not complete in time",
    Code.CANCELLED: "cancelled",
}


class RequestError(Exception):
    """One request failed; the connection lives on."""

    def __init__(self, code: int, message: str = "") -> None:
        self.code = code
        super().__init__(message or SENTENCES.get(code, f"failed with code {code}"))


@dataclass(frozen=True, slots=True)
class Message:
    """The base of every message."""

    type: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class List(Message):
    """Every regular file below ``name``, which may be a file itself; links to folders are not followed."""

    type: ClassVar[str] = "list"
    name: str
    with_digest: bool
    "Adds each file's SHA-256, for which the server reads it."


@dataclass(frozen=True, slots=True)
class Get(Message):
    """The bytes of a file from ``offset``."""

    type: ClassVar[str] = "get"
    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class Put(Message):
    """A file that is to be written."""

    type: ClassVar[str] = "put"
    name: str
    size: int
    mtime_ns: int
    resume: bool
    "False makes the server discard the part that it has."
    overwrite: bool
    "False fails when the file exists."


@dataclass(frozen=True, slots=True)
class Stats(Message):
    """What the server knows of this connection's path."""

    type: ClassVar[str] = "stats"


@dataclass(frozen=True, slots=True)
class Entry(Message):
    """One file of a listing."""

    type: ClassVar[str] = "entry"
    name: str
    "Relative to the name that was asked for; empty when that is the file."
    size: int
    mtime_ns: int
    sha256: str
    "In hexadecimal; empty when it was not asked for."


@dataclass(frozen=True, slots=True)
class End(Message):
    """The listing is complete."""

    type: ClassVar[str] = "end"
    count: int


@dataclass(frozen=True, slots=True)
class Head(Message):
    """The bytes from ``offset`` to ``size`` follow."""

    type: ClassVar[str] = "head"
    size: int
    offset: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Ready(Message):
    """The server wants the bytes from ``offset``."""

    type: ClassVar[str] = "ready"
    offset: int


@dataclass(frozen=True, slots=True)
class Digest(Message):
    """The SHA-256 of a whole file, in hexadecimal."""

    type: ClassVar[str] = "digest"
    sha256: str


@dataclass(frozen=True, slots=True)
class PathStats(Message):
    """The connection as its server sees it."""

    type: ClassVar[str] = "path"
    rtt_us: int
    packets_sent: int
    packets_lost: int


@dataclass(frozen=True, slots=True)
class Failure(Message):
    """Why the request failed, for programs and for people."""

    type: ClassVar[str] = "failure"
    code: int
    message: str


_CLASSES: dict[str, type[Message]] = {
    cls.type: cls for cls in (List, Get, Put, Stats, Entry, End, Head, Ready, Digest, PathStats, Failure)
}
_CHECKS = {
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: type(value) is int and 0 <= value <= NUMBER_MAX,
}


def encode(message: Message) -> bytes:
    """A message as it travels, with its line feed."""
    text = json.dumps({"type": message.type, **asdict(message)}, separators=(",", ":"))
    return text.encode("ascii") + b"\n"


def decode(line: bytes, *expected: type[Message]) -> Message:
    """One of the messages that are ``expected``.

    Raises:
        RequestError: the line is something else, or it is a ``failure``, which is raised as what it says.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise RequestError(Code.BAD_REQUEST, "a message is not JSON") from None
    if not isinstance(value, dict):
        raise RequestError(Code.BAD_REQUEST, "a message is not a JSON object")
    message = _build(value)
    if isinstance(message, expected):
        return message
    if isinstance(message, Failure):
        raise RequestError(message.code, message.message)
    names = " or ".join(cls.type for cls in expected)
    raise RequestError(Code.BAD_REQUEST, f"the message {message.type!r} came where {names} is due")


def _build(value: dict[str, Any]) -> Message:
    kind = value.pop("type", None)
    cls = _CLASSES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise RequestError(Code.BAD_REQUEST, "a message has no type that is known")
    wanted = {field.name: str(field.type) for field in fields(cls)}
    if value.keys() != wanted.keys():
        raise RequestError(Code.BAD_REQUEST, f"the message {kind!r} needs exactly: {', '.join(wanted) or 'nothing'}")
    for name, type_name in wanted.items():
        if not _CHECKS[type_name](value[name]):
            raise RequestError(Code.BAD_REQUEST, f"{name!r} of the message {kind!r} is not a valid {type_name}")
    return cls(**value)

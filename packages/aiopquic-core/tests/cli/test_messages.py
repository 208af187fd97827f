"""Messages of the file protocol: what is written is read, and nothing else is."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiopquic.cli.protocol import (
    MESSAGE_MAX,
    NUMBER_MAX,
    SENTENCES,
    Code,
    Digest,
    End,
    Entry,
    Failure,
    Get,
    Head,
    List,
    Message,
    PathStats,
    Put,
    Ready,
    RequestError,
    Stats,
    decode,
    encode,
)
from aiopquic.cli.streams import READ_AHEAD, RequestStream

numbers = st.integers(0, NUMBER_MAX)
texts = st.text(alphabet=st.characters(codec=None), max_size=100)
messages = st.one_of(
    st.builds(List, texts, st.booleans()),
    st.builds(Get, texts, numbers),
    st.builds(Put, texts, numbers, numbers, st.booleans(), st.booleans()),
    st.just(Stats()),
    st.builds(Entry, texts, numbers, numbers, texts),
    st.builds(End, numbers),
    st.builds(Head, numbers, numbers, numbers),
    st.builds(Ready, numbers),
    st.builds(Digest, texts),
    st.builds(PathStats, numbers, numbers, numbers),
    st.builds(Failure, numbers, texts),
)


@given(messages)
def test_round_trip(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line, type(message)) == message


def test_the_longest_name_fits() -> None:
    assert len(encode(Put("\udc80" * 4096, NUMBER_MAX, NUMBER_MAX, False, False))) <= MESSAGE_MAX


def test_every_code_has_a_sentence() -> None:
    assert all(str(RequestError(code)) == SENTENCES[code] for code in Code)
    assert "4711" in str(RequestError(4711))


MALFORMED = {
    "nothing": b"",
    "no JSON": b"GET / HTTP/1.1",
    "not UTF-8": b'{"type":"get","name":"\xff","offset":0}',
    "no object": b"[1]",
    "deep": b"[" * 20000,
    "huge number": b'{"type":"get","name":"a","offset":' + b"9" * 5000 + b"}",
    "no type": b'{"name":"a","offset":0}',
    "type is no text": b'{"type":["get"],"name":"a","offset":0}',
    "unknown type": b'{"type":"delete","name":"a"}',
    "field missing": b'{"type":"get","name":"a"}',
    "field too many": b'{"type":"get","name":"a","offset":0,"mode":1}',
    "negative": b'{"type":"get","name":"a","offset":-1}',
    "too large": b'{"type":"get","name":"a","offset":4611686018427387904}',
    "float": b'{"type":"get","name":"a","offset":0.0}',
    "NaN": b'{"type":"get","name":"a","offset":NaN}',
    "bool for number": b'{"type":"get","name":"a","offset":true}',
    "number for text": b'{"type":"get","name":1,"offset":0}',
    "null": b'{"type":"get","name":null,"offset":0}',
    "not due": b'{"type":"end","count":0}',
}


@pytest.mark.parametrize("line", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_messages(line: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        decode(line, Get, List)
    assert caught.value.code == Code.BAD_REQUEST


@given(st.binary(max_size=200) | st.builds(lambda value: json.dumps(value).encode(), st.dictionaries(texts, texts)))
def test_no_line_raises_anything_else(line: bytes) -> None:
    with suppress(RequestError):
        decode(line, Get)


def test_a_failure_is_raised_as_what_it_says() -> None:
    with pytest.raises(RequestError, match="gone fishing") as caught:
        decode(encode(Failure(Code.NOT_FOUND, "gone fishing")), Head)
    assert caught.value.code == Code.NOT_FOUND


class Quic:
    """Records what a RequestStream asks of its connection."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))


def make_stream() -> tuple[RequestStream, Quic]:
    quic = Quic()
    return RequestStream(quic, 4), quic  # type: ignore[arg-type]


async def test_messages_in_pieces_and_bytes_behind_them() -> None:
    stream, _ = make_stream()
    data = encode(Get("a", 1)) + encode(Ready(2)) + b"rest"
    for index in range(len(data)):
        stream.data_received(memoryview(data)[index : index + 1], index == len(data) - 1)
    assert await stream.read_message(Get) == Get("a", 1)
    assert await stream.read_message(Ready) == Ready(2)
    assert b"".join(await stream.read_some(3)) == b"res"
    assert b"".join(await stream.read_some(3)) == b"t"
    assert await stream.read_some(3) == []


async def test_an_endless_message_is_refused() -> None:
    stream, _ = make_stream()
    stream.data_received(memoryview(b"x" * (MESSAGE_MAX + 1)), False)
    with pytest.raises(RequestError, match="longer than"):
        await stream.read_message(Get)


async def test_a_message_that_is_cut_off() -> None:
    stream, _ = make_stream()
    stream.data_received(memoryview(encode(Get("a", 1))[:-1]), True)
    with pytest.raises(RequestError, match="cut off"):
        await stream.read_message(Get)


async def test_a_slow_reader_holds_the_peer() -> None:
    """Bytes beyond READ_AHEAD pause the stream; it goes on when half of them were read."""
    stream, quic = make_stream()
    data = memoryview(bytes(READ_AHEAD // 2))
    for _ in range(3):
        stream.data_received(data, False)
    assert quic.calls == [("pause_reading", 4)]
    await stream.read_some(READ_AHEAD // 2)
    assert len(quic.calls) == 1
    await stream.read_some(READ_AHEAD // 2)
    assert quic.calls[1:] == [("resume_reading", 4)]


async def test_a_reset_wakes_the_reader() -> None:
    stream, _ = make_stream()
    reader = asyncio.create_task(stream.read_some(1))
    await asyncio.sleep(0)
    stream.fail(RequestError(Code.CHANGED))
    with pytest.raises(RequestError) as caught:
        await reader
    assert caught.value.code == Code.CHANGED


async def test_what_arrived_before_a_reset_is_read_first() -> None:
    stream, _ = make_stream()
    stream.data_received(memoryview(b"ab"), False)
    stream.fail(RequestError(Code.CHANGED))
    assert b"".join(await stream.read_some(10)) == b"ab"
    with pytest.raises(RequestError):
        await stream.read_some(10)


async def test_nothing_is_kept_of_a_stream_that_was_given_up() -> None:
    stream, quic = make_stream()
    stream.data_received(memoryview(bytes(READ_AHEAD + 1)), False)
    stream.give_up()
    stream.data_received(memoryview(b"late"), False)
    names = [call[0] for call in quic.calls]
    assert names == ["pause_reading", "reset_stream", "resume_reading", "stop_stream"]
    assert stream._size == 0

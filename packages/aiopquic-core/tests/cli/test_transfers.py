"""Listing, fetching and sending over loopback: whole, interrupted, refused, damaged."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from aiopquic.cli.client import FileClient
from aiopquic.cli.paths import part_of
from aiopquic.cli.protocol import Code, Entry, RequestError
from aiopquic.cli.server import FileServerProtocol
from aiopquic.exceptions import QuicConnectionError

from .support import MIB, Served, content, nothing, serving, total

Serving = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def served(root: Path, dev_files: tuple[Path, Path]) -> Serving:
    return partial(serving, root, dev_files)


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def names(client: FileClient, name: str = "") -> list[str]:
    return [entry.name async for entry in client.list(name)]


async def refusal(work: object) -> RequestError:
    """What a request fails with."""
    with pytest.raises(RequestError) as caught:
        await work  # type: ignore[misc]
    return caught.value


async def get(client: FileClient, name: str, target: Path, **options: bool) -> int:
    settings = {"resume": True, "overwrite": False, **options}
    return await client.get(name, target, report=nothing, **settings)


async def put(client: FileClient, source: Path, name: str, **options: bool) -> int:
    settings = {"resume": True, "overwrite": False, **options}
    return await client.put(source, name, report=nothing, **settings)


# ---- whole ----


@pytest.mark.parametrize("size", [0, 1, 65536, MIB, 9 * MIB + 7])
async def test_there_and_back(served: Serving, root: Path, tmp_path: Path, size: int) -> None:
    source, back = tmp_path / "source", tmp_path / "deep" / "back"
    source.write_bytes(content(size))
    os.utime(source, ns=(10**18, 10**18 + 7))
    async with served(writable=True) as server, server.client() as client:
        counts: list[int] = []
        assert await client.put(source, "new/file", resume=True, overwrite=False, report=total(counts)) == size
        assert await client.get("new/file", back, resume=True, overwrite=False, report=total(counts)) == size
        assert sum(counts) == 2 * size
    assert (root / "new" / "file").read_bytes() == back.read_bytes() == source.read_bytes()
    assert back.stat().st_mtime_ns == 10**18 + 7
    assert files_below(root) == ["file"]


async def test_many_at_once(served: Serving, root: Path, tmp_path: Path) -> None:
    """More requests than the server lets a client open at once."""
    for number in range(150):
        (root / str(number)).write_bytes(content(1000 + number, number))
    async with served() as server, server.client() as client:
        assert sorted(await names(client)) == sorted(map(str, range(150)))
        async with asyncio.TaskGroup() as group:
            for number in range(150):
                group.create_task(get(client, str(number), tmp_path / "back" / str(number)))
    for number in range(150):
        assert (tmp_path / "back" / str(number)).read_bytes() == content(1000 + number, number)


async def test_listing(served: Serving, root: Path) -> None:
    (root / "sub").mkdir()
    (root / "sub" / "b").write_bytes(b"bb")
    (root / "sub" / os.fsdecode(b"\xff\n")).write_bytes(b"")
    (root / "a").write_bytes(b"a")
    async with served() as server, server.client() as client:
        assert await names(client) == ["a", "sub/b", "sub/" + os.fsdecode(b"\xff\n")]
        assert await names(client, "sub") == ["b", os.fsdecode(b"\xff\n")]
        status = (root / "a").stat()
        digest = hashlib.sha256(b"a").hexdigest()
        assert [entry async for entry in client.list("a", with_digest=True)] == [
            Entry("", 1, status.st_mtime_ns, digest)
        ]
        assert (await refusal(anext(client.list("missing")))).code == Code.NOT_FOUND


# ---- interrupted ----


class CutsOff(FileServerProtocol):
    """Closes the connection in the middle of a file, once a MiB of it was received or read."""

    def _count_in(self, count: int) -> None:
        super()._count_in(count)
        if self.bytes_in >= MIB:
            self.close(0, "cut off")

    def _count_out(self, count: int) -> None:
        super()._count_out(count)
        if self.bytes_out >= 12 * MIB:  # of which the send budget still holds some
            self.close(0, "cut off")


async def test_get_goes_on_where_it_was_cut_off(served: Serving, root: Path, tmp_path: Path) -> None:
    data, target = content(20 * MIB), tmp_path / "target"
    (root / "file").write_bytes(data)
    async with served(protocol=CutsOff) as server, server.client() as client:
        with pytest.raises(QuicConnectionError):
            await get(client, "file", target)
    there = part_of(target).stat().st_size
    assert 0 < there < len(data)
    assert not target.exists()
    async with served() as server, server.client() as client:
        counts: list[int] = []
        moved = await client.get("file", target, resume=True, overwrite=False, report=total(counts))
        assert moved == len(data) - there
        assert counts[0] == there
        assert server.server.protocols[0].bytes_out == moved  # type: ignore[attr-defined]
    assert target.read_bytes() == data
    assert not part_of(target).exists()


async def test_put_goes_on_where_it_was_cut_off(served: Serving, root: Path, tmp_path: Path) -> None:
    data, source, part = content(20 * MIB), tmp_path / "source", part_of(root / "file")
    source.write_bytes(data)
    async with served(writable=True, protocol=CutsOff) as server, server.client() as client:
        with pytest.raises(QuicConnectionError):
            await put(client, source, "file")
        await server.lines.get()  # the server's side has ended, too
    there = part.stat().st_size
    assert MIB <= there < len(data)
    async with served(writable=True) as server, server.client() as client:
        assert await names(client) == []
        assert await put(client, source, "file") == len(data) - there
        assert server.server.protocols[0].bytes_in == len(data) - there  # type: ignore[attr-defined]
    assert (root / "file").read_bytes() == data
    assert not part.exists()


async def test_a_cancelled_get_keeps_what_arrived(served: Serving, root: Path, tmp_path: Path) -> None:
    """And the connection goes on with other requests."""
    with (root / "file").open("wb") as file:
        file.truncate(64 * MIB)
    target, moved = tmp_path / "target", asyncio.Event()
    async with served() as server, server.client() as client:
        work = client.get("file", target, resume=True, overwrite=False, report=lambda count: count and moved.set())
        task = asyncio.create_task(work)
        await moved.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        there = part_of(target).stat().st_size
        assert 0 < there < 64 * MIB
        assert await get(client, "file", target) == 64 * MIB - there
    assert target.stat().st_size == 64 * MIB


async def test_without_resume_everything_travels(served: Serving, root: Path, tmp_path: Path) -> None:
    data, target = content(MIB), tmp_path / "target"
    (root / "file").write_bytes(data)
    part_of(target).write_bytes(data[:1000])
    part_of(root / "copy").write_bytes(data[:1000])
    async with served(writable=True) as server, server.client() as client:
        assert await get(client, "file", target, resume=False) == MIB
        assert await put(client, target, "copy", resume=False) == MIB
    assert target.read_bytes() == (root / "copy").read_bytes() == data


async def test_a_part_that_is_longer_than_the_file_counts_for_nothing(
    served: Serving, root: Path, tmp_path: Path
) -> None:
    (root / "file").write_bytes(b"short")
    target = tmp_path / "target"
    part_of(target).write_bytes(b"longer than short")
    part_of(root / "copy").write_bytes(b"longer than short")
    async with served(writable=True) as server, server.client() as client:
        assert await get(client, "file", target) == 5
        assert await put(client, target, "copy") == 5
    assert target.read_bytes() == (root / "copy").read_bytes() == b"short"


# ---- damaged ----


async def test_get_detects_a_damaged_part(served: Serving, root: Path, tmp_path: Path) -> None:
    data, target = content(3 * MIB), tmp_path / "target"
    (root / "file").write_bytes(data)
    part_of(target).write_bytes(content(MIB, seed=1))
    async with served() as server, server.client() as client:
        error = await refusal(get(client, "file", target))
        assert error.code == Code.DIGEST_MISMATCH
        assert "discarded" in str(error)
        assert not target.exists()
        assert await get(client, "file", target) == len(data)
    assert target.read_bytes() == data


async def test_put_detects_a_damaged_part(served: Serving, root: Path, tmp_path: Path) -> None:
    data, source = content(3 * MIB), tmp_path / "source"
    source.write_bytes(data)
    part_of(root / "file").write_bytes(content(MIB, seed=1))
    async with served(writable=True) as server, server.client() as client:
        error = await refusal(put(client, source, "file"))
        assert error.code == Code.DIGEST_MISMATCH
        assert "discarded" in str(error)
        assert not (root / "file").exists()
        assert await put(client, source, "file") == len(data)
    assert (root / "file").read_bytes() == data


async def test_a_file_that_shrinks_meanwhile(served: Serving, root: Path, tmp_path: Path) -> None:
    path = root / "file"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    shrink = lambda count: os.truncate(path, MIB) if count else None  # noqa: E731
    async with served() as server, server.client() as client:
        work = client.get("file", tmp_path / "target", resume=True, overwrite=False, report=shrink)
        assert (await refusal(work)).code == Code.CHANGED
    assert not (tmp_path / "target").exists()


# ---- refused ----


async def test_nothing_is_overwritten_unasked(served: Serving, root: Path, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", root / "theirs"
    mine.write_bytes(b"mine")
    theirs.write_bytes(b"theirs")
    async with served(writable=True) as server, server.client() as client:
        assert (await refusal(get(client, "theirs", mine))).code == Code.EXISTS
        assert (await refusal(put(client, mine, "theirs"))).code == Code.EXISTS
        assert (mine.read_bytes(), theirs.read_bytes()) == (b"mine", b"theirs")
        await put(client, mine, "theirs", overwrite=True)
        assert theirs.read_bytes() == b"mine"
        theirs.write_bytes(b"theirs again")
        await get(client, "theirs", mine, overwrite=True)
        assert mine.read_bytes() == b"theirs again"


async def test_read_only_unless_writable(served: Serving, root: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")
    async with served() as server, server.client() as client:
        error = await refusal(put(client, source, "file"))
        assert error.code == Code.READ_ONLY
        assert "--writable" in str(error)
    assert files_below(root) == []


async def test_what_is_no_file(served: Serving, root: Path, tmp_path: Path) -> None:
    (root / "folder").mkdir()
    os.mkfifo(root / "fifo")
    (root / "file").write_bytes(b"x")
    source = tmp_path / "source"
    source.write_bytes(b"x")
    async with served(writable=True) as server, server.client() as client:
        for name in ("folder", "fifo", ""):
            assert (await refusal(get(client, name, tmp_path / "target"))).code == Code.NOT_A_FILE
        for name in ("folder", ""):
            assert (await refusal(put(client, source, name, overwrite=True))).code == Code.NOT_A_FILE
        assert (await refusal(get(client, "missing", tmp_path / "target"))).code == Code.NOT_FOUND
        assert (await refusal(get(client, "file/below", tmp_path / "target"))).code == Code.NOT_FOUND
        assert (await refusal(put(client, source, "file/below"))).code == Code.NOT_A_FILE
        assert await names(client, "folder") == []
    assert files_below(tmp_path) == ["file", "source"]


async def test_names_that_lead_out_are_refused_on_the_wire(served: Serving, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path)
    async with served(writable=True) as server, server.client() as client:
        for name in ("../secret", "/etc/passwd", "link/secret", "a\0", "..\\secret"):
            assert (await refusal(get(client, name, tmp_path / "target"))).code == Code.BAD_NAME
            assert (await refusal(put(client, tmp_path / "secret", name))).code == Code.BAD_NAME
            assert (await refusal(anext(client.list(name)))).code == Code.BAD_NAME
        assert await names(client) == []


async def test_one_writer_at_a_time(served: Serving, root: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(content(MIB))
    async with served(writable=True) as server, server.client() as client:
        results = await asyncio.gather(
            *(put(client, source, "file", overwrite=True) for _ in range(8)), return_exceptions=True
        )
        failed = [result for result in results if isinstance(result, RequestError)]
        assert len(failed) < 8
        assert {error.code for error in failed} <= {Code.BUSY}
        assert await names(client) == ["file"]
    assert (root / "file").read_bytes() == source.read_bytes()


# ---- hostile clients ----


async def answer(client: FileClient, data: bytes, end: bool = True) -> bytes:
    """What a request of any bytes is answered with."""
    reader, writer = await client.create_stream()
    writer.write(data)
    if end:
        writer.write_eof()
    reply = await reader.read()
    writer.close()
    return reply


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"{}\n",
        b"x" * 100_000,
        b'{"type":"stats"}',
        b'{"type":"stats"}\nmore',
        b'{"type":"end","count":1}\n',
    ],
)
async def test_malformed_requests_are_answered(served: Serving, data: bytes) -> None:
    async with served() as server, server.client() as client:
        assert b'"failure","code":1' in await answer(client, data)
        assert await names(client) == []


async def test_an_incomplete_request_times_out(served: Serving) -> None:
    async with served(request_timeout=0.2) as server, server.client() as client:
        assert b'"failure","code":13' in await answer(client, b'{"type":', end=False)
        assert b'"failure","code":13' in await answer(client, b'{"type":"stats"}\n', end=False)
        assert await names(client) == []


async def test_a_server_that_names_files_elsewhere_is_not_believed(served: Serving) -> None:
    class Liar(FileServerProtocol):
        async def _list(self, request: object, stream: object) -> None:
            await stream.write_message(Entry("../../evil", 1, 0, ""), end=True)  # type: ignore[attr-defined]

    async with served(protocol=Liar) as server, server.client() as client:
        assert (await refusal(anext(client.list("")))).code == Code.BAD_NAME

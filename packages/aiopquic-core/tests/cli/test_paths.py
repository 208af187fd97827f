"""Names on the wire: which are refused, and that none leads out of the folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiopquic.cli.paths import PART_SUFFIX, check_name, locate, part_of, printable, walk
from aiopquic.cli.protocol import Code, RequestError

HOSTILE = {
    "parent": "..",
    "parent first": "../etc/passwd",
    "parent in the middle": "a/../../etc/passwd",
    "parent last": "a/..",
    "here": "./a",
    "empty part": "a//b",
    "slash at the end": "a/",
    "absolute": "/etc/passwd",
    "absolute twice": "//etc/passwd",
    "NUL": "a\0b",
    "backslash": "..\\..\\windows",
    "drive": "C:\\windows",
    "surrogate that is no byte": "a\ud800",
    "long part": "a" * 256,
    "long part in UTF-8": "é" * 128,
    "long name": "/".join(["a" * 100] * 50),
    "part file": "a" + PART_SUFFIX,
    "below a part file": f"a{PART_SUFFIX}/b",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_names_are_refused(root: Path, name: str) -> None:
    with pytest.raises(RequestError) as caught:
        locate(root, name)
    assert caught.value.code == Code.BAD_NAME


@pytest.mark.parametrize(
    "name", ["", "a", "a/b", "...", "..a", "a b", "é", "-rf", "~", "a:b", "\udcff", "a\nb", "%2e%2e"]
)
def test_odd_but_harmless_names(root: Path, name: str) -> None:
    assert locate(root, name) == root.joinpath(name)


@given(st.text(alphabet=st.sampled_from("a./\\\0~é\udc80\ud800C:"), max_size=20) | st.text(max_size=50))
def test_no_name_leads_out(name: str) -> None:
    root = Path("/nonexistent/root")
    try:
        path = locate(root, name)
    except RequestError:
        return
    assert path.is_relative_to(root)
    assert len(path.relative_to(root).parts) == len(check_name(name))


def test_links_that_leave_are_refused(root: Path) -> None:
    (root.parent / "secret").write_text("x")
    (root / "file").symlink_to(root.parent / "secret")
    (root / "relative").symlink_to("../secret")
    (root / "folder").symlink_to(root.parent)
    (root / "chain").symlink_to("folder")
    (root / "loop").symlink_to("loop")
    for name in ("file", "relative", "folder", "folder/secret", "folder/new", "chain/secret", "loop/a"):
        with pytest.raises(RequestError) as caught:
            locate(root, name)
        assert caught.value.code == Code.BAD_NAME, name


def test_a_folder_beside_with_the_same_beginning_is_outside(root: Path) -> None:
    beside = root.with_name(root.name + "-secret")
    beside.mkdir()
    (root / "link").symlink_to(beside)
    with pytest.raises(RequestError):
        locate(root, "link")


def test_links_that_stay_are_followed(root: Path) -> None:
    (root / "a").mkdir()
    (root / "a" / "file").write_text("x")
    (root / "b").symlink_to("a")
    assert locate(root, "b/file") == root / "a" / "file"


def test_walk_leaves_out_what_can_not_be_served(root: Path) -> None:
    (root / "sub").mkdir()
    (root / "sub" / "b").write_text("b")
    (root / "a").write_text("a")
    (root / ("a" + PART_SUFFIX)).write_text("part")
    (root / "back\\slash").write_text("x")
    (root.parent / "secret").write_text("x")
    (root / "leaves").symlink_to(root.parent / "secret")
    (root / "stays").symlink_to("a")
    (root / "nowhere").symlink_to("missing")
    (root / "around").symlink_to(".")
    (root / "skipped").mkdir()
    (root / "skipped" / "c").write_text("c")
    os.mkfifo(root / "fifo")
    found = [name for name, _ in walk(root, inside=root, exclude=["skip*"])]
    assert found == ["a", "stays", "sub/b"]


def test_walk_tells_what_it_can_not_read(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(walk(root / "missing"))
    errors: list[OSError] = []
    assert list(walk(root / "missing", on_error=errors.append)) == []
    assert len(errors) == 1


def test_part_files_of_the_longest_names(root: Path) -> None:
    for name in ("a" * 255, "é" * 127, "short"):
        part = part_of(root / name)
        part.write_text("x")
        assert part.name.endswith(PART_SUFFIX)
    assert part_of(root / ("a" * 255)) != part_of(root / ("a" * 254 + "b"))


def test_terminals_get_nothing_to_obey() -> None:
    assert printable("plain é") == "plain é"
    assert printable("\x1b[31mred\r\n\udcff") == "\\x1b[31mred\\r\\n\\udcff"

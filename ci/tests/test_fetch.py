"""third_party/fetch.py without a network: what it verifies, refuses and says."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading

import pytest

import fetch
import package_index


@pytest.fixture
def pins(tmp_path):
    return {
        "picoquic": {
            "repository": str(tmp_path / "no-such-repository"),
            "commit": "c" * 40,
            "keep": ["LICENSE", "picoquic"],
            "build": ["LICENSE", "picoquic"],
            "built": digest_of({"LICENSE": b"mit", "picoquic/a.c": b"int a;"}),
        },
        "archive": {
            "project": "p",
            "version": "1",
            "filename": "p-1.tar.gz",
            "root": "p-1",
            "sha256": "",
        },
        "sdist": {"core": {"picoquic": ["LICENSE", "picoquic"]}},
    }


def digest_of(files):
    return fetch.digest({name: hashlib.sha256(body).hexdigest() for name, body in files.items()})


def tree(root, files):
    for name, body in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(body)
    return root


@pytest.fixture
def here(tmp_path):
    here = tmp_path / "third_party"
    (here / "patches").mkdir(parents=True)
    return here


@pytest.fixture
def fetched(here, pins, tmp_path):
    unpacked = tree(tmp_path / "unpacked", {"LICENSE": b"mit", "picoquic/a.c": b"int a;"})
    fetch.place(here, pins, "picoquic", unpacked, "archive")
    return here


def archive(path, members, kind=tarfile.REGTYPE):
    with tarfile.open(path, "w:gz") as tar:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.type = kind
            info.size = len(body) if kind == tarfile.REGTYPE else 0
            info.linkname = "/etc/passwd" if kind != tarfile.REGTYPE else ""
            tar.addfile(info, io.BytesIO(body))
    return path


def test_what_was_fetched_is_found_again(fetched, pins):
    found = fetch.resolve(fetched, pins, ["picoquic"])
    assert found["picoquic"]["commit"] == "c" * 40
    assert found["picoquic"]["built"] == pins["picoquic"]["built"]


def test_what_was_kept_of_fewer_files_is_fetched_again(fetched, pins):
    assert fetch.verify(fetched, pins, "picoquic") is not None
    pins["picoquic"]["keep"].append("picoquicfirst")
    assert fetch.verify(fetched, pins, "picoquic") is None


@pytest.mark.parametrize("name", ["picoquic/a.c", "picoquic/new.h"])
def test_tampered_tree_is_refused_and_kept(fetched, pins, name):
    (fetched / ".sources/picoquic" / name).write_bytes(b"int b;")
    with pytest.raises(fetch.FetchError, match="1 file.s. differ .*" + name) as raised:
        fetch.resolve(fetched, pins, ["picoquic"])
    assert "AIOPQUIC_PICOQUIC_DIR" in str(raised.value)
    assert (fetched / ".sources/picoquic" / name).read_bytes() == b"int b;"


def test_tampered_state_does_not_help(fetched, pins):
    file = fetched / ".sources/picoquic/picoquic/a.c"
    file.write_bytes(b"int b;")
    state_file = fetched / ".sources/state.json"
    state = json.loads(state_file.read_text())
    state["picoquic"]["files"]["picoquic/a.c"] = hashlib.sha256(b"int b;").hexdigest()
    state["picoquic"]["built"] = "0" * 64
    state_file.write_text(json.dumps(state))
    with pytest.raises(fetch.FetchError, match=r"pins.json"):
        fetch.resolve(fetched, pins, ["picoquic"])


def test_tree_of_another_digest_is_not_placed(here, pins, tmp_path):
    unpacked = tree(tmp_path / "unpacked", {"LICENSE": b"mit", "picoquic/a.c": b"int evil;"})
    with pytest.raises(fetch.FetchError, match="not the pinned one"):
        fetch.place(here, pins, "picoquic", unpacked, "archive")
    assert not (here / ".sources/picoquic").exists()


def test_own_directory_is_taken_as_it_is(here, pins, tmp_path, monkeypatch):
    own = tree(tmp_path / "own", {"LICENSE": b"mit", "picoquic/a.c": b"int mine;"})
    monkeypatch.setenv("AIOPQUIC_PICOQUIC_DIR", str(own))
    found = fetch.resolve(here, pins, ["picoquic"])["picoquic"]
    assert found["dir"] == str(own)
    assert found["commit"].startswith("own-")


def test_own_directory_without_sources_is_named(here, pins, tmp_path, monkeypatch):
    monkeypatch.setenv("AIOPQUIC_PICOQUIC_DIR", str(tmp_path / "nothing"))
    with pytest.raises(fetch.FetchError, match=r"AIOPQUIC_PICOQUIC_DIR=.*nothing"):
        fetch.resolve(here, pins, ["picoquic"])


def test_everything_unreachable_says_what_was_tried_and_what_helps(here, pins, monkeypatch):
    monkeypatch.setattr(package_index, "indexes", lambda: ["http://127.0.0.1:9/simple"])
    monkeypatch.setattr(package_index, "pythons_with_pip", list)
    with pytest.raises(fetch.FetchError) as raised:
        fetch.resolve(here, pins, ["picoquic"])
    text = str(raised.value)
    for part in ("git, picoquic:", "127.0.0.1", "AIOPQUIC_PICOQUIC_DIR", "c" * 40, "SSL_CERT_FILE"):
        assert part in text
    assert not list(here.glob(".fetch-*"))


def test_archive_is_unpacked_when_git_fails(here, pins, tmp_path, monkeypatch):
    root = "p-1/third_party/picoquic"
    members = {f"{root}/LICENSE": b"mit", f"{root}/picoquic/a.c": b"int a;", "p-1/evil.py": b"x"}
    body = archive(tmp_path / "p-1.tar.gz", members).read_bytes()
    pins["archive"]["sha256"] = hashlib.sha256(body).hexdigest()
    pages = {
        "http://index/simple/p/": (b'<a href="../../files/p-1.tar.gz#sha256=0">p</a>', "text/html"),
        "http://index/files/p-1.tar.gz": (body, ""),
    }
    monkeypatch.setattr(package_index, "indexes", lambda: ["http://index/simple"])
    monkeypatch.setattr(package_index, "read", lambda url, accept="": pages[url])
    found = fetch.resolve(here, pins, ["picoquic"])["picoquic"]
    assert found["built"] == pins["picoquic"]["built"]
    assert not list(here.rglob("evil.py"))
    assert not list(here.rglob("*.tar.gz"))


def test_archive_with_another_digest_is_refused():
    with pytest.raises(fetch.FetchError, match="not the pinned 00"):
        package_index.check(b"body", "00")


@pytest.mark.parametrize("name", ["../evil.c", "picoquic/../../evil.c", "/evil.c"])
def test_member_that_leaves_its_folder_is_refused(tmp_path, name):
    path = archive(tmp_path / "a.tar.gz", {f"p-1/third_party/picoquic/{name}": b"x"})
    with pytest.raises(fetch.FetchError, match="leaves its folder"):
        package_index.unpack(path, "p-1/third_party/picoquic", ["picoquic"], tmp_path / "out")
    assert not list(tmp_path.rglob("evil.c"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_member_that_is_no_file_is_refused(tmp_path, kind):
    path = archive(tmp_path / "a.tar.gz", {"p-1/third_party/picoquic/picoquic/a.c": b""}, kind)
    with pytest.raises(fetch.FetchError, match="is no file"):
        package_index.unpack(path, "p-1/third_party/picoquic", ["picoquic"], tmp_path / "out")


def test_json_page_is_read(monkeypatch):
    page = {"files": [{"filename": "p-1.tar.gz", "url": "http://files/p-1.tar.gz#x"}]}
    monkeypatch.setattr(package_index, "read", lambda url, accept="": (json.dumps(page).encode(), "application/x+json"))
    assert package_index.address_of("http://index", "p", "p-1.tar.gz") == "http://files/p-1.tar.gz"


def test_patch_is_applied_and_changes_the_digest(here, pins, tmp_path, monkeypatch):
    (here / "patches/picoquic-0001-a.patch").write_text(
        "Why.\n--- a/picoquic/a.c\n+++ b/picoquic/a.c\n@@ -1 +1 @@\n-int a;\n+int patched;\n"
    )
    unpacked = tree(tmp_path / "unpacked", {"LICENSE": b"mit", "picoquic/a.c": b"int a;\n"})
    fetch.place(here, pins, "picoquic", unpacked, "archive")
    found = fetch.verify(here, pins, "picoquic")
    assert (here / ".sources/picoquic/picoquic/a.c").read_text() == "int patched;\n"
    assert found["built"] != pins["picoquic"]["built"]
    (here / "patches/picoquic-0001-a.patch").unlink()
    assert fetch.verify(here, pins, "picoquic") is None


@pytest.mark.parametrize(
    ("hunk", "says"),
    [
        ("--- a/picoquic/a.c\n+++ b/picoquic/a.c\n@@ -1 +1 @@\n-int other;\n+int b;\n", "line 1 is not"),
        ("--- a/picoquic/a.c\n+++ b/picoquic/a.c\n@@ -1,9 +1 @@\n-int a;\n", "is not|cut off"),
        ("--- a/../x.c\n+++ b/../x.c\n@@ -1 +1 @@\n-a\n+b\n", "there is no"),
        ("words\n", "changes nothing"),
    ],
)
def test_patch_that_does_not_fit_is_refused(here, pins, tmp_path, hunk, says):
    (here / "patches/picoquic-0001-a.patch").write_text(hunk)
    unpacked = tree(tmp_path / "unpacked", {"LICENSE": b"mit", "picoquic/a.c": b"int a;\n"})
    with pytest.raises(fetch.FetchError, match=says):
        fetch.place(here, pins, "picoquic", unpacked, "archive")
    assert not (here / ".sources/picoquic").exists()


def test_patches_of_the_repository_apply_to_what_was_fetched():
    root = fetch.HERE
    for tree_name in fetch.TREES:
        if fetch.patches_for(root, tree_name) and (root / ".sources").is_dir():
            pinned = json.loads((root / "pins.json").read_text())
            assert fetch.verify(root, pinned, tree_name) is not None


def test_exported_tree_verifies_where_it_is_unpacked(fetched, pins, tmp_path, monkeypatch):
    found = fetch.resolve(fetched, pins, ["picoquic"])
    monkeypatch.setattr(fetch, "HERE", fetched)
    sdist = tmp_path / "sdist/third_party"
    fetch.export(found, pins, "core", sdist / ".sources")
    assert fetch.resolve(sdist, pins, ["picoquic"])["picoquic"]["built"] == found["picoquic"]["built"]


def test_two_at_once_fetch_once(here, pins, tmp_path, monkeypatch):
    fetches = []

    def slow_fetch(where, pins, missing):
        fetches.append(list(missing))
        unpacked = tree(tmp_path / "unpacked", {"LICENSE": b"mit", "picoquic/a.c": b"int a;"})
        fetch.place(where, pins, "picoquic", unpacked, "archive")

    monkeypatch.setattr(fetch, "fetch", slow_fetch)
    threads = [threading.Thread(target=fetch.resolve, args=(here, pins, ["picoquic"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetches == [["picoquic"]]

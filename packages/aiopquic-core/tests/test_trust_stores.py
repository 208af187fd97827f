"""Trust stores that are read: once, as long as they stay what they are."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import aiopquic
from aiopquic import _files
from aiopquic._files import knows_roots, trusted_roots
from aiopquic.exceptions import CertificateFileError
from aiopquic.quic import pool
from aiopquic.testing.certificates import dev_certificate

from .certificates import Certificates
from .streams.support import ALPN, Ends, echo


@pytest.fixture(autouse=True)
def nothing_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "_roots_read", {})


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system tells every change by its time, so that a file need not become old first."""
    monkeypatch.setattr(_files, "_COARSE_TIME", 0)
    monkeypatch.setattr(_files, "_FINE_TIME", 0)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was parsed, in turn."""
    parsed: list[str] = []
    load: Callable[..., list[bytes]] = _files._load

    def counted(data: str | bytes, what: str, path: str | None) -> list[bytes]:
        parsed.append(what)
        return load(data, what, path)

    monkeypatch.setattr(_files, "_load", counted)
    return parsed


def store(path: Path) -> bytes:
    """A new certificate written there, as DER."""
    pem = dev_certificate().certificate_pem
    path.write_bytes(pem)
    return ssl.PEM_cert_to_DER_cert(pem.decode())


@pytest.mark.usefixtures("steady")
def test_is_read_once(tmp_path: Path, loads: list[str]):
    root = store(tmp_path / "roots.pem")
    assert not knows_roots(tmp_path / "roots.pem", None, None)
    for path in (tmp_path / "roots.pem", str(tmp_path / "roots.pem")):
        assert trusted_roots(path) == (root,)
        assert knows_roots(path, None, None)
    assert len(loads) == 1


@pytest.mark.usefixtures("steady")
def test_is_read_again_when_it_was_written_over(tmp_path: Path):
    path = tmp_path / "roots.pem"
    first = store(path)
    assert trusted_roots(path) == (first,)
    time = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == time:  # as coarse as the kernel's clock of files
        second = store(path)
    assert not knows_roots(path, None, None)
    assert trusted_roots(path) == (second,) != (first,)


@pytest.mark.usefixtures("steady")
def test_is_read_again_when_it_was_replaced(tmp_path: Path):
    path = tmp_path / "roots.pem"
    store(path)
    trusted_roots(path)
    second = store(tmp_path / "next.pem")
    os.replace(tmp_path / "next.pem", path)
    assert not knows_roots(path, None, None)
    assert trusted_roots(path) == (second,)


@pytest.mark.usefixtures("steady")
def test_one_that_is_gone(tmp_path: Path):
    path = tmp_path / "roots.pem"
    store(path)
    trusted_roots(path)
    path.unlink()
    assert not knows_roots(path, None, None)
    with pytest.raises(CertificateFileError, match="can't be read"):
        trusted_roots(path)


@pytest.mark.parametrize(("fraction", "needed"), [(5_000_000, 0.1), (0, 2.0)], ids=["fine times", "whole seconds"])
def test_a_young_one_is_read_each_time(
    tmp_path: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch, fraction: int, needed: float
):
    """It may change again before its time does."""
    path = tmp_path / "roots.pem"
    store(path)
    changed_ns = 1_700_000_000_000_000_000 + fraction
    found = SimpleNamespace(st_dev=1, st_ino=2, st_size=3, st_ctime_ns=changed_ns, st_ctime=changed_ns / 1e9)
    monkeypatch.setattr(_files, "os", SimpleNamespace(stat=lambda _: found, fspath=os.fspath))
    for age, reads in ((0.0, 1), (0.9 * needed, 2), (1.1 * needed, 3), (1.2 * needed, 3)):
        monkeypatch.setattr(_files, "time", SimpleNamespace(time=lambda age=age: changed_ns / 1e9 + age))
        trusted_roots(path)
        assert len(loads) == reads


@pytest.mark.usefixtures("steady")
def test_few_are_kept(tmp_path: Path):
    pem = dev_certificate().certificate_pem
    for number in range(3 * _files._ROOTS_KEPT):
        path = tmp_path / str(number)
        path.write_bytes(pem)
        trusted_roots(path)
        assert knows_roots(path, None, None)
    assert len(_files._roots_read) <= _files._ROOTS_KEPT


@pytest.mark.usefixtures("steady")
def test_folders_and_data_are_always_read(tmp_path: Path):
    store(tmp_path / "roots.pem")
    trusted_roots(tmp_path / "roots.pem")
    assert not knows_roots(tmp_path / "roots.pem", tmp_path, None)
    assert not knows_roots(None, None, "-----BEGIN CERTIFICATE-----")


def test_the_default_is_read_once(loads: list[str]):
    _files._certifi_roots.cache_clear()
    assert not knows_roots(None, None, None)
    assert len(trusted_roots()) > 50
    assert knows_roots(None, None, None)
    trusted_roots()
    assert len(loads) == 1


@pytest.mark.usefixtures("steady")
async def test_connections_need_no_thread_for_what_is_known(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
):
    """The first one reads in another thread, and the others not at all."""
    threads: list[Callable[..., Any]] = []

    async def to_thread(function: Callable[..., Any]) -> Any:
        threads.append(function)
        return function()

    async with Ends(certificates).serve(echo) as server:
        monkeypatch.setattr(pool.asyncio, "to_thread", to_thread)
        for _ in range(3):
            async with aiopquic.connect("127.0.0.1", server.port, alpn=ALPN, cafile=certificates.good.cert):
                await asyncio.sleep(0)
    assert len(threads) == 1

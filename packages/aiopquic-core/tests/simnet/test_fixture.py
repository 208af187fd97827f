"""The fixture ``quic_network``, in a project that takes it as users do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from aiopquic.testing.simnet import SimulatedNetwork

TIME_LIMIT = 60

MODULE = """
import asyncio

import aiopquic
from aiopquic.testing.simnet import Link

pytest_plugins = ["aiopquic.testing.fixtures"]


async def once(network):
    async def handle(connection):
        await connection.wait_closed()

    with network.host("server"):
        certificate, key = network.certificate()
        server = await aiopquic.serve(handle, "server", 443, alpn=["x"], certificate=certificate, private_key=key)
    async with server, aiopquic.connect("server", 443, alpn=["x"], cafile=certificate):
        await asyncio.sleep(5)


def test_passes(quic_network):
    network = quic_network(seed=7, link=Link(delay=0.03))
    network.run(once(network))
    assert network.seed == 7
    assert 5.06 < network.time < 6


def test_fails_behind_its_run(quic_network):
    network = quic_network(seed=3)
    network.run(once(network))
    assert network.time > 3600
"""


def test_it_takes_what_a_network_takes(quic_network: Callable[..., SimulatedNetwork]):
    network = quic_network(11, qlog=False)
    assert network.seed == 11
    assert len(network.keep()) == 1  # the seed; there are no qlogs


def test_what_fails_has_the_seed_and_the_qlogs_in_its_report(tmp_path: Path):
    (tmp_path / "test_theirs.py").write_text(MODULE)
    options = ("-o", "addopts=", "-o", "asyncio_default_fixture_loop_scope=function")
    settings = (*options, "-p", "no:cacheprovider", "-W", "error")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *settings, "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "AIOPQUIC_SIMNET_SEED=3 replays" in done.stdout
    found = re.search(r"^qlogs: (.*)$", done.stdout, re.MULTILINE)
    assert found is not None
    folder = Path(found[1])
    try:
        assert len(list(folder.iterdir())) == 2
    finally:
        shutil.rmtree(folder.parent)

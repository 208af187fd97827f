"""Two processes with a network between them that loses, delays, reorders, doubles, spoils and is cut."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..support import until
from .conftest import Making
from .hosts import FOLDER, Link
from .transfers import LIMIT, begin, transfer

pytestmark = pytest.mark.network

SIZE = 2 << 20


@pytest.mark.parametrize(
    ("settings", "happened"),
    [
        ({"loss": 0.02, "delay": 0.01}, ["lost"]),
        ({"loss": 0.1, "delay": 0.01}, ["lost"]),
        ({"delay": 0.05, "jitter": 0.001}, ["overtaken"]),
        ({"delay": 0.01, "early": 0.05}, ["overtaken"]),
        ({"delay": 0.005, "duplicate": 0.2}, ["duplicated"]),
        ({"delay": 0.005, "spoil": 0.05}, ["spoiled"]),
        (
            {"delay": 0.02, "early": 0.01, "loss": 0.02, "duplicate": 0.05, "spoil": 0.02},
            ["lost", "overtaken", "duplicated", "spoiled"],
        ),
    ],
    ids=["2 % lost", "10 % lost", "50 ms", "reordered", "duplicated", "spoiled", "everything"],
)
async def test_every_byte_arrives(making: Making, settings: dict[str, Any], happened: list[str]):
    async with asyncio.timeout(LIMIT), making(left=Link(wire=settings)) as network, network.endpoints() as (client, _):
        await transfer(client, there=SIZE, back=SIZE)
        counters = await network.counters()
        for name in happened:
            assert counters["there"][name] > 0, name
            assert counters["back"][name] > 0, name


async def test_a_cut_of_two_seconds(making: Making):
    """In the middle of a transfer nothing arrives for a while; it goes on behind that without a byte lost."""
    wire = {"delay": 0.01}
    async with (
        asyncio.timeout(LIMIT),
        making(left=Link(mbps=20, wire=wire)) as network,
        network.endpoints() as (client, _),
    ):
        transfer = begin(client, back=2 * SIZE)
        await client.expect("half")
        await network.change(is_cut=True)
        before = await network.counters()
        await asyncio.sleep(2)
        assert not transfer.done()
        after = await network.counters()
        assert after["back"]["cut"] > 0
        assert after["back"]["delivered"] == before["back"]["delivered"]
        await network.change(is_cut=False)
        assert await transfer > 2


async def test_nobody_comes_back(making: Making):
    """A cut that lasts ends the connection at the idle timeout, at both ends."""
    async with (
        asyncio.timeout(LIMIT),
        making(left=Link(wire={"delay": 0.01})) as network,
        network.endpoints(idle_timeout=2, server={"idle_timeout": 2}) as (client, server),
    ):
        await network.change(is_cut=True)
        with pytest.raises(RuntimeError, match="IdleTimeoutError"):
            await client.call("transfer", there=SIZE, back=0)
        await server.expect("ended", kind="IDLE_TIMEOUT")


async def test_a_run_that_is_killed_leaves_nothing(making: Making):
    """A namespace ends with the process that made it, however that ends."""
    script = (
        "import hosts, os; held = hosts.host(); print(held.__enter__().process, flush=True); os.kill(os.getpid(), 9)"
    )
    async with making():
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", script], cwd=FOLDER, stdout=subprocess.PIPE, text=True
        )
        assert done.returncode == -signal.SIGKILL
        await until(lambda: not Path(f"/proc/{done.stdout.strip()}/ns").exists(), "the end of the namespace's process")

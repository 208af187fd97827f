"""What can be said of links, hosts and networks, and what is refused."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from aiopquic.exceptions import ConfigurationError
from aiopquic.testing.simnet import Link, SimulatedNetwork, SimulationStalled, simulated


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"loss": 1.5}, "loss of a link is a chance from 0 to 1, not 1.5"),
        ({"duplicate": -0.1}, "duplicate of a link is a chance"),
        ({"corrupt": "1"}, "corrupt of a link is a chance"),
        ({"burst_loss": (0.1, 2)}, "burst_loss of a link is a chance"),
        ({"burst_loss": (0.1,)}, "the chance to begin and the chance to end"),
        ({"delay": -1}, "delay of a link is a number of seconds"),
        ({"jitter": float("nan")}, "jitter of a link is a number of seconds"),
        ({"mbps": 0}, "mbps of a link is a rate above 0"),
        ({"mbps": 1, "queue_bytes": 0}, "queue_bytes of a link is a number of bytes above 0"),
        ({"mtu": 1.5}, "mtu of a link is a number of bytes"),
        ({"queue_bytes": 1000}, "a queue needs a rate"),
        ({"loss_pattern": "..y"}, 'up to 64 of "." and "x"'),
        ({"loss_pattern": "." * 65}, 'up to 64 of "." and "x"'),
        ({"hold": 0.1}, "hold needs hold_time"),
    ],
)
def test_link_that_cannot_be(settings: dict[str, Any], text: str):
    with pytest.raises(ConfigurationError, match=text.replace("(", r"\(")):
        Link(**settings)


def test_unknown_setting_of_a_link():
    with pytest.raises(TypeError, match="mpbs"):
        Link(mpbs=1)  # type: ignore[call-arg]
    network = SimulatedNetwork()
    one, other = network.host("one"), network.host("other")
    with pytest.raises(TypeError, match="los"):
        network.change(one, other, los=1)


def test_links_are_values():
    assert Link(delay=0.1) == Link(delay=0.1)
    assert dataclasses.replace(Link(delay=0.1), down=True).delay == 0.1


def test_hosts_have_names_and_addresses():
    network = SimulatedNetwork()
    one, other = network.host("one"), network.host("other", "192.0.2.7")
    assert one is network.host("one")
    assert one.address == "10.0.0.1"
    assert one.addresses == ("10.0.0.1", "fd00::1")
    assert other.addresses == ("192.0.2.7",)
    with pytest.raises(ConfigurationError, match="belongs to another host"):
        network.host("third", "192.0.2.7")
    with pytest.raises(ConfigurationError, match="is there already"):
        network.host("other", "192.0.2.8")


@pytest.mark.parametrize("seed", [-1, 1 << 64, "x"])
def test_seed_that_cannot_be(seed: Any):
    with pytest.raises(ConfigurationError, match="a seed is a number"):
        SimulatedNetwork(seed)


def test_seed_of_the_environment_replays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIOPQUIC_SIMNET_SEED", "99")
    assert SimulatedNetwork(7).seed == 99
    monkeypatch.setenv("AIOPQUIC_SIMNET_SEED", "no number")
    with pytest.raises(ConfigurationError, match="'no number'"):
        SimulatedNetwork(7)


@simulated()
async def test_hours_take_no_time(network: SimulatedNetwork):
    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.gather(*(asyncio.sleep(number) for number in range(0, 3000, 100)))
    assert 2900 <= loop.time() - start < 2900.001
    assert network.time == pytest.approx(loop.time() - 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await asyncio.Event().wait()


@simulated()
async def test_polling_sees_time_pass(network: SimulatedNetwork):
    deadline = network.time + 0.01
    turns = 0
    while network.time < deadline:
        turns += 1
        await asyncio.sleep(0)
    assert turns > 100


@simulated()
async def test_executors_take_no_time(network: SimulatedNetwork):
    loop = asyncio.get_running_loop()
    before = network.time
    assert await loop.run_in_executor(None, sum, range(1000)) == 499500
    assert await asyncio.to_thread(sum, range(1000)) == 499500
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 / 0)
    assert network.time - before < 0.001


def test_nothing_left_to_happen_is_told():
    network = SimulatedNetwork(5)
    with pytest.raises(SimulationStalled, match="every task waits") as caught:
        network.run(asyncio.Event().wait())
    assert "AIOPQUIC_SIMNET_SEED=5 replays" in caught.value.__notes__[0]


def test_time_limit():
    with pytest.raises(TimeoutError, match="longer than its time limit"):
        SimulatedNetwork().run(asyncio.sleep(100), time_limit=50)


def test_what_fails_keeps_the_seed_and_the_qlogs():
    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        SimulatedNetwork(3, qlog=True).run(fails())
    notes = "\n".join(caught.value.__notes__)
    assert "seed 3" in notes
    assert "qlogs: " in notes


@simulated()
async def test_fixtures_reach_a_simulated_test(network: SimulatedNetwork, tmp_path: Any):
    assert tmp_path.is_dir()
    assert isinstance(network, SimulatedNetwork)


@simulated()
async def test_names_resolve_to_hosts(network: SimulatedNetwork):
    network.host("server")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo("server", 443)
    assert [entry[4][0] for entry in found] == list(network.host("server").addresses)
    assert (await loop.getaddrinfo("192.0.2.1", 1))[0][4] == ("192.0.2.1", 1)
    with pytest.raises(OSError, match="no host of the simulated network is called 'nowhere'"):
        await loop.getaddrinfo("nowhere", 443)

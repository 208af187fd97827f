"""Two processes whose network changes under them: other interfaces, several at once, a moving NAT, a smaller MTU."""

from __future__ import annotations

import asyncio

import pytest

from .conftest import Making
from .hosts import Link, Network, program
from .transfers import LIMIT, begin, transfer

pytestmark = pytest.mark.network

MEGABYTE = 1 << 20
SLOW = Link(mbps=16)
"Two megabytes take a second."
FAR = Link(mbps=16, wire={"delay": 0.01})
"The same, and 20 ms there and back."


@pytest.mark.parametrize("towards", ["client", "server"])
@pytest.mark.parametrize("is_first_down", [False, True], ids=["both are up", "the first goes down"])
async def test_migration_to_another_interface(making: Making, towards: str, is_first_down: bool):
    """In the middle of a transfer, without a byte lost, and the rest goes over the second."""
    size = 4 * MEGABYTE
    async with (
        asyncio.timeout(LIMIT),
        making(left=SLOW, right=SLOW) as network,
        network.endpoints() as (client, server),
    ):
        if towards == "client":
            moving, reader = begin(client, back=size), client
        else:
            moving, reader = begin(client, there=size), server
        await reader.expect("half")
        path = await client.call("migrate", address=network.SECOND)
        assert path["local_address"][0] == network.SECOND
        if is_first_down:
            network.client.ip("link set dev left down")
        assert not moving.done()
        await moving
        assert [peer[0] for peer in await server.call("connections")] == [network.SECOND]
        event = await server.expect("path", kind="available")
        assert event["peer_address"] == path["local_address"]
        # Far more than acknowledgements; how much of the half it was depends on when this process came to call.
        assert max(network.client.device_bytes("right")) > size // 16
        assert max(network.client.device_bytes("left")) > size // 4


async def test_a_failed_migration_changes_nothing(making: Making):
    """An interface behind which nobody answers, and an address that this host does not have."""
    async with (
        asyncio.timeout(LIMIT),
        making(left=SLOW, right=SLOW) as network,
        network.endpoints() as (client, server),
    ):
        moving = begin(client, back=2 * MEGABYTE)
        await client.expect("half")
        network.router.ip("link set dev right down")
        with pytest.raises(RuntimeError, match="PathError"):
            await client.call("migrate", address=network.SECOND)
        with pytest.raises(RuntimeError, match="BindError"):
            await client.call("migrate", address="10.77.200.1")
        await moving
        await transfer(client, there=MEGABYTE)
        assert [peer[0] for peer in await server.call("connections")] == [network.FIRST]


async def test_two_paths_carry_more_than_one(making: Making):
    """Both links are slow; together they are faster, and both have carried data."""
    size = 3 * MEGABYTE
    several = {"max_paths": 2}
    async with (
        asyncio.timeout(LIMIT),
        making(left=FAR, right=FAR) as network,
        network.endpoints(server=several, **several) as (client, server),
    ):
        alone = await transfer(client, back=size), await transfer(client, there=size)
        path = await client.call("add_path", address=network.SECOND)
        assert path["local_address"][0] == network.SECOND
        await server.expect("path", kind="available", peer_address=path["local_address"])
        together = await transfer(client, back=size), await transfer(client, there=size)
        assert together[0] < 0.75 * alone[0]
        assert together[1] < 0.75 * alone[1]
        assert {path["peer_address"][0] for path in await server.call("paths")} == {network.FIRST, network.SECOND}
        sent, received = network.client.device_bytes("right")
        assert min(sent, received) > size // 4


async def test_one_of_two_interfaces_dies(making: Making):
    """What was lost there is sent over the other."""
    several = {"max_paths": 2}
    async with (
        asyncio.timeout(LIMIT),
        making(left=FAR, right=FAR) as network,
        network.endpoints(server=several, **several) as (client, _),
    ):
        await client.call("add_path", address=network.SECOND)
        moving = begin(client, back=4 * MEGABYTE)
        await client.expect("half")
        network.client.ip("link set dev left down")
        assert not moving.done()
        await moving


def translate(network: Network) -> None:
    """The router hides its clients behind its own addresses, and gives each flow a port by chance."""
    program("nft")
    rules = (
        "table ip nat { chain out { type nat hook postrouting priority 100; oifname lan masquerade fully-random; }; }"
    )
    network.router.run("nft", rules)


async def test_a_nat_that_moves(making: Making):
    """The kernel's NAT forgets its flows and gets another address, again and again; the server follows.

    It can when the client sends something, which one that only receives does for the sake of its keep_alive_interval.
    """
    async with asyncio.timeout(LIMIT), making(left=SLOW) as network:
        translate(network)
        async with network.endpoints(keep_alive_interval=0.2) as (client, server):
            await transfer(client, there=1)  # the server has taken the connection
            seen = [tuple(peer) for peer in await server.call("connections")]
            assert seen[0][0] == "10.77.9.1"
            for number in range(101, 104):
                moving = begin(client, back=2 * MEGABYTE)
                await client.expect("half")
                network.router.ip(f"addr del {seen[-1][0]}/24 dev lan")
                network.router.ip(f"addr add 10.77.9.{number}/24 dev lan")
                network.server.ip(f"route replace default via 10.77.9.{number}")
                await moving
                event = await server.expect("path", kind="available")
                seen += [tuple(peer) for peer in await server.call("connections")]
                assert tuple(event["peer_address"]) == seen[-1]
            assert len(set(seen)) == 4
            assert len({port for _, port in seen}) > 1


@pytest.mark.parametrize(
    "link",
    [Link(mbps=50, mtu=1300), Link(wire={"delay": 0.005, "mtu": 1300})],
    ids=["told by ICMP", "nobody tells"],
)
async def test_a_path_mtu_of_1300(making: Making, link: Link):
    """Packets find their size."""
    async with asyncio.timeout(LIMIT), making(left=link) as network, network.endpoints() as (client, _):
        await transfer(client, there=2 * MEGABYTE, back=2 * MEGABYTE)


async def test_the_path_mtu_shrinks(making: Making):
    """In the middle of a transfer larger packets begin to vanish (RFC 8899 section 4.3: a black hole)."""
    link = Link(mbps=16, wire={"delay": 0.005})
    async with asyncio.timeout(LIMIT), making(left=link) as network, network.endpoints() as (client, _):
        moving = begin(client, back=4 * MEGABYTE)
        await client.expect("half")
        await network.change(mtu=1300)
        await moving
        assert (await network.counters())["back"]["too_large"] > 0


async def test_ipv6(making: Making):
    """Over IPv6, with loss and delay, and a migration to another port."""
    link = Link(wire={"delay": 0.01, "loss": 0.02})
    async with (
        asyncio.timeout(LIMIT),
        making(left=link) as network,
        network.endpoints(address=Network.SERVER_6) as (client, server),
    ):
        moving = begin(client, there=2 * MEGABYTE, back=2 * MEGABYTE)
        await server.expect("half")
        path = await client.call("migrate", address=network.FIRST_6)
        await moving
        assert (await server.call("connections"))[0] == path["local_address"]
        assert path["local_address"][0] == network.FIRST_6

"""Hosts of a network that a test makes: namespaces without names, which end with the processes in them.

    client ── left:  10.77.1.0/24, fd77:1::/64 ── router ── lan: 10.77.9.0/24, fd77:9::/64 ── server
           ── right: 10.77.2.0/24, fd77:2::/64 ──

Nothing is left of them when a test fails or is killed: a namespace lives as long as a process in it, and the one that
holds it ends with its standard input.
"""

from __future__ import annotations

import asyncio
import functools
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

FOLDER = Path(__file__).parent
#: Debian's packages of what the tests run.
PACKAGES = {
    "dumpcap": "wireshark-common",
    "gtlsclient": "ngtcp2-client",
    "gtlsserver": "ngtcp2-server",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "tc": "iproute2",
    "tshark": "tshark",
    "unshare": "util-linux",
}


def program(name: str) -> str:
    """Where a program is, also for those who are no administrators; skips the test without it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not here: apt-get install {PACKAGES[name]}, as the session network does")
    return found


class Remote:
    """A process that obeys lines of JSON; see `endpoint.py` and `wire.py`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._events: list[dict[str, Any]] = []
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._arrived = asyncio.Condition()
        self._is_gone = False
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            told = json.loads(line)
            if "event" in told:
                self._events.append(told)
            else:
                self._settle(self._answers.pop(told["id"]), told)
            async with self._arrived:
                self._arrived.notify_all()
        self._is_gone = True
        for answer in self._answers.values():
            self._settle(answer, {"error": "the process is gone"})
        async with self._arrived:
            self._arrived.notify_all()

    @staticmethod
    def _settle(answer: asyncio.Future[Any], told: dict[str, Any]) -> None:
        if answer.done():  # nobody waits for it any more
            return
        if "error" in told:
            answer.set_exception(RuntimeError(told["error"]))
        else:
            answer.set_result(told["result"])

    def begin(self, what: str, **details: Any) -> asyncio.Future[Any]:
        """Ask for something; the future has the answer."""
        number = id(future := asyncio.get_running_loop().create_future())
        self._answers[number] = future
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": number, "do": what, **details}).encode() + b"\n")
        return future

    async def call(self, what: str, **arguments: Any) -> Any:
        return await self.begin(what, **{"with": arguments})

    async def expect(self, event: str, **fields: Any) -> dict[str, Any]:
        """The first event of that name with those fields that was not asked for before."""
        wanted = {"event": event, **fields}

        def find() -> dict[str, Any] | None:
            return next((told for told in self._events if wanted.items() <= told.items()), None)

        async with self._arrived:
            await self._arrived.wait_for(lambda: find() or self._is_gone)
        found = find()
        assert found is not None, f"the process is gone; waited for {wanted}, and it had told {self._events}"
        self._events.remove(found)
        return found

    async def end(self) -> None:
        """It ends by itself when its input does."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(10):
                code = await self.process.wait()
        finally:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()
            await self._reading
            self.process._transport.close()  # type: ignore[attr-defined]  # its pipes are open as long as it is
        assert code == 0


@asynccontextmanager
async def remote(*command: str) -> AsyncIterator[Remote]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    started = Remote(process)
    try:
        yield started
    finally:
        await started.end()


class Host:
    """A network namespace."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.enter = [program("nsenter"), f"--net=/proc/{process}/ns/net", "--"]

    def run(self, *command: str) -> str:
        """Run a command there; what it prints."""
        done = subprocess.run([*self.enter, program(command[0]), *command[1:]], capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
        return done.stdout

    def ip(self, words: str) -> str:
        return self.run("ip", *words.split())

    def forwards(self) -> None:
        script = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"
        subprocess.run([*self.enter, "sh", "-ec", script], check=True)

    def device_bytes(self, device: str) -> tuple[int, int]:
        """Sent and received over a device."""
        (told,) = json.loads(self.ip(f"-j -s link show dev {device}"))
        return told["stats64"]["tx"]["bytes"], told["stats64"]["rx"]["bytes"]


@contextmanager
def host() -> Iterator[Host]:
    held = [program("unshare"), "--net", "--", "sh", "-ec", "echo ready; exec cat"]
    with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            if process.stdout.readline() != b"ready\n":
                raise PermissionError(process.stderr.read().decode().strip())
            made = Host(process.pid)
            made.ip("link set dev lo up")
            yield made
        finally:
            process.stdin.close()


@functools.cache
def forbidden() -> str | None:
    """Why no network can be made here, or None."""
    try:
        with host() as first, host() as second:
            first.ip(f"link add probe type veth peer name probe netns {second.process}")
            second.ip("link set dev probe up")
            script = "import sys, wire; wire.tun(sys.argv[1], 'tun-probe')"
            check = [sys.executable, "-c", script, str(first.process)]
            tun = subprocess.run(check, cwd=FOLDER, capture_output=True, text=True)
            if tun.returncode != 0:
                return tun.stderr.strip().splitlines()[-1]
    except (PermissionError, AssertionError) as error:
        return str(error)
    return None


@dataclass(frozen=True)
class Link:
    """Between the client and the router. ``wire`` are the settings of `wire.py`; without, it is a pair of veths."""

    mbps: float | None = None
    "The rate in each direction, with a queue of 60 ms."
    mtu: int = 1500
    wire: dict[str, Any] | None = None


@dataclass
class Network:
    client: Host
    router: Host
    server: Host
    certificate: Path
    private_key: Path
    wires: dict[str, Remote] = field(default_factory=dict)

    SERVER = "10.77.9.2"
    SERVER_6 = "fd77:9::2"
    FIRST, SECOND = "10.77.1.2", "10.77.2.2"
    "The client's addresses."
    FIRST_6 = "fd77:1::2"

    async def change(self, wire: str = "left", **settings: Any) -> None:
        await self.wires[wire].begin("change", settings=settings)

    async def counters(self, wire: str = "left") -> dict[str, dict[str, int]]:
        """Of both directions: ``there`` is to the server."""
        return cast(dict[str, dict[str, int]], await self.wires[wire].begin("counters"))

    @asynccontextmanager
    async def endpoints(
        self, address: str = SERVER, server: dict[str, Any] | None = None, **settings: Any
    ) -> AsyncIterator[tuple[Remote, Remote]]:
        """Client and server, connected."""
        identity = {"certificate": str(self.certificate), "private_key": str(self.private_key)}
        async with AsyncExitStack() as stack:

            async def start(where: Host, role: str, host: str, port: int | None, settings: dict[str, Any]) -> Remote:
                arguments = {"host": host, "settings": settings} | ({"port": port} if port else {})
                command = [sys.executable, str(FOLDER / "endpoint.py"), role, json.dumps(arguments)]
                return await stack.enter_async_context(remote(*where.enter, *command))

            serving = await start(self.server, "server", address, None, identity | (server or {}))
            port = (await serving.expect("listening"))["port"]
            trust = {"cafile": str(self.certificate), "server_name": "localhost"}
            client = await start(self.client, "client", address, port, trust | settings)
            await client.expect("connected")
            yield client, serving


def address(device: str, host: Host, index: int, number: int) -> None:
    host.ip(f"addr add 10.77.{index}.{number}/24 dev {device}")
    host.ip(f"-6 addr add fd77:{index}::{number}/64 dev {device} nodad")


def limit(host: Host, device: str, link: Link) -> None:
    host.ip(f"link set dev {device} mtu {link.mtu} up")
    if link.mbps is not None:
        rate = ["rate", f"{link.mbps}mbit", "burst", "16kb", "latency", "60ms"]
        host.run("tc", "qdisc", "add", "dev", device, "root", "tbf", *rate)


@asynccontextmanager
async def network(certificate: Path, private_key: Path, **links: Link) -> AsyncIterator[Network]:
    """The hosts, with the client's links by the names of their devices, ``left`` the first."""
    async with AsyncExitStack() as stack:
        client, router, server = (stack.enter_context(host()) for _ in range(3))
        made = Network(client, router, server, certificate, private_key)
        router.forwards()
        for index, (name, link) in enumerate(links.items(), 1):
            if link.wire is None:
                client.ip(f"link add {name} type veth peer name {name} netns {router.process}")
            else:
                ends = (str(client.process), name, str(router.process), name)
                wire = remote(sys.executable, str(FOLDER / "wire.py"), *ends, json.dumps(link.wire))
                made.wires[name] = await stack.enter_async_context(wire)
                await made.wires[name].expect("ready")
            for end, number in ((client, 2), (router, 1)):
                address(name, end, index, number)
                limit(end, name, link)
            # Each address goes out by its own device; who has none yet takes the first.
            client.ip(f"rule add from 10.77.{index}.2 lookup {100 + index}")
            client.ip(f"-6 rule add from fd77:{index}::2 lookup {100 + index}")
            for table in (100 + index, "main") if index == 1 else (100 + index,):
                client.ip(f"route add default via 10.77.{index}.1 dev {name} table {table}")
                client.ip(f"-6 route add default via fd77:{index}::1 dev {name} table {table}")
        server.ip(f"link add lan type veth peer name lan netns {router.process}")
        for end, number in ((server, 2), (router, 1)):
            address("lan", end, 9, number)
            limit(end, "lan", Link())
        server.ip("route add default via 10.77.9.1")
        server.ip("-6 route add default via fd77:9::1")
        yield made

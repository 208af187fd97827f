"""Against other implementations of WebTransport, each as the client and as the server, in a process of its own.

peers/README.md has what each does; docs/webtransport-peers.md has their quirks.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import aiopquic_webtransport as webtransport
from aiopquic.testing import DevCertificate, dev_certificate

PEERS = Path(__file__).parent / "peers"
sys.path.insert(0, str(PEERS))

from ours import KNOWN, OurSession, serve_exchange  # noqa: E402 - found beside this file
from wt_exchange import CHECKS, CODE, PATH, REASON, run_checks, server_close  # noqa: E402

#: The client's, of which the server knows the second and the third.
OFFERED = ("exchange-9", "exchange-2", "exchange-1")
CHOSEN = OFFERED[1]
DEADLINE = 100


@dataclass(frozen=True)
class Peer:
    name: str
    command: tuple[str, ...]
    compatibility: bool = False
    "Its server needs our client's compatibility mode."
    names_protocol: bool = True
    "Its client can ask which protocol was chosen."


def built(name: str) -> tuple[str, ...]:
    return (str(Path(os.environ.get("AIOPQUIC_WT_PEERS", "missing")) / name),)


PEER_LIST = (
    pytest.param(
        Peer("aioquic", (sys.executable, str(PEERS / "aioquic_peer.py")), compatibility=True),
        marks=pytest.mark.peer,
    ),
    pytest.param(
        Peer("pywebtransport", (sys.executable, str(PEERS / "pywebtransport_peer.py")), compatibility=True),
        marks=pytest.mark.peer,
    ),
    pytest.param(Peer("webtransport-go", built("go")), marks=pytest.mark.wtpeers),
    pytest.param(
        Peer("wtransport", built("rust"), compatibility=True, names_protocol=False),
        marks=pytest.mark.wtpeers,
    ),
)


@pytest.fixture(params=PEER_LIST, ids=lambda peer: peer.name)
def peer(request: pytest.FixtureRequest) -> Peer:
    found: Peer = request.param
    if found.command[0] != sys.executable:
        assert Path(found.command[0]).is_file(), "./dev nox -s wtpeers builds it"
    elif found.name == "pywebtransport" and sys.version_info < (3, 12):
        pytest.skip("pywebtransport needs Python 3.12 or later")
    elif importlib.util.find_spec(found.name) is None:
        text = f"{found.name} is not installed: uv pip install --group peers"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    return found


@pytest.fixture(scope="module")
def certificate() -> DevCertificate:
    return dev_certificate()


class Process:
    """A peer at work; what it has told is kept."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.told: list[dict[str, Any]] = []

    async def line(self) -> dict[str, Any] | None:
        assert self.process.stdout is not None
        text = await self.process.stdout.readline()
        if not text:
            return None
        self.told.append(json.loads(text))
        return self.told[-1]

    async def expect(self, event: str, **fields: object) -> dict[str, Any]:
        wanted = {"event": event, **fields}
        for told in self.told:
            if wanted.items() <= told.items():
                return told
        while (told_now := await self.line()) is not None:
            if wanted.items() <= told_now.items():
                return told_now
        raise AssertionError(f"the peer is gone; waited for {wanted}, and it had told {self.told}")


@asynccontextmanager
async def started(peer: Peer, role: str, **options: object) -> AsyncIterator[Process]:
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    process = await asyncio.create_subprocess_exec(
        *peer.command, role, *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(DEADLINE):
            yield Process(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # its pipes are open as long as it is


async def test_as_server(peer: Peer, certificate: DevCertificate, tmp_path: Path):
    """The peer's client finds everything in order with our server."""
    files = certificate.write(tmp_path)
    told: list[dict[str, Any]] = []

    def tell(event: str, **fields: object) -> None:
        told.append({"event": event, **fields})

    async def app(request: webtransport.Request) -> None:
        await serve_exchange(request, tell)

    async with webtransport.serve(app, "127.0.0.1", 0, certificate=files[0], private_key=files[1]) as server:
        options = {"port": server.port, "hash": certificate.sha256.hex(), "protocols": ",".join(OFFERED)}
        async with started(peer, "client", **options) as process:
            session = await process.expect("session")
            if peer.names_protocol:
                assert session["protocol"] == CHOSEN
            await process.expect("done")
        checks = [line for line in process.told if line["event"] == "check"]
        assert [check for check in checks if not check["ok"]] == []
        assert len(checks) >= len(CHECKS)
        assert {"event": "session", "protocol": CHOSEN} in told
        assert [line for line in told if line["event"] == "failed"] == []
        async with asyncio.timeout(10):
            while {"event": "closed", "code": CODE, "reason": REASON} not in told:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.01)


async def test_as_client(peer: Peer, certificate: DevCertificate, tmp_path: Path):
    """Our client finds everything in order with the peer's server, which sees our codes and our reason."""
    files = certificate.write(tmp_path)
    told: list[dict[str, Any]] = []

    def tell(event: str, **fields: object) -> None:
        told.append({"event": event, **fields})

    options = {"certificate": files[0], "key": files[1], "protocols": ",".join(KNOWN)}
    async with started(peer, "server", **options) as process, contextlib.AsyncExitStack() as sessions:
        port = (await process.expect("listening"))["port"]

        async def dial() -> OurSession:
            return OurSession(
                await sessions.enter_async_context(
                    webtransport.connect(
                        f"https://127.0.0.1:{port}{PATH}",
                        protocols=OFFERED,
                        server_certificate_hashes=[certificate.sha256],
                        compatibility=peer.compatibility,
                    )
                )
            )

        await run_checks(dial, tell)
        await process.expect("closed", code=CODE, reason=REASON)
        await process.expect("reset", code=79)
        await process.expect("stop", code=80)
    assert [line for line in told if line["event"] == "check" and not line["ok"]] == []
    names = [line["name"] for line in told if line["event"] == "check"]
    assert names == [check.__name__ for check in (*CHECKS, server_close)]
    assert told[0] == {"event": "session", "protocol": CHOSEN}

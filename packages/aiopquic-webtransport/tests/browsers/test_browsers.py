"""Pages in real browsers, headless, against our server: what index.html checks, and what the server saw of it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

import aiopquic_webtransport as webtransport
from aiopquic.testing import dev_certificate

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "peers")]

from browser import BROWSERS, Browser, showing  # noqa: E402 - found beside this file
from ours import KNOWN, serve_exchange  # noqa: E402
from web import Web, serving  # noqa: E402
from wt_exchange import CODE, PATH, REASON  # noqa: E402

pytestmark = pytest.mark.browser

#: The page gives up each of its checks after ten seconds; a browser that does not even start is seen here.
DEADLINE = 90


class Seen(list[dict[str, Any]]):
    """What the server tells."""

    def __call__(self, event: str, **fields: object) -> None:
        self.append({"event": event, **fields})

    async def wait(self, event: str, **fields: object) -> None:
        async with asyncio.timeout(10):
            while {"event": event, **fields} not in self:  # noqa: ASYNC110 - nobody tells of the change
                await asyncio.sleep(0.01)


@pytest.fixture(params=BROWSERS, ids=lambda browser: browser.name)
def browser(request: pytest.FixtureRequest) -> Browser:
    found: Browser = request.param
    if found.find() is None:
        pytest.skip(f"{found.name} is not installed (Debian's packages: chromium, firefox-esr)")
    return found


@asynccontextmanager
async def served(folder: Path, browser: Browser, seen: Seen) -> AsyncIterator[Web]:
    """The page's server and the session's server, which know of each other."""
    certificate = dev_certificate()
    files = certificate.write(folder)

    async def app(request: webtransport.Request) -> None:
        await serve_exchange(request, seen)

    async with (
        serving() as web,
        webtransport.serve(
            app, "127.0.0.1", 0, certificate=files[0], private_key=files[1], origins=[web.origin]
        ) as server,
    ):
        web.settings = {
            "url": f"https://127.0.0.1:{server.port}{PATH}",
            "hash": certificate.sha256.hex(),
            "protocols": [] if "protocols" in browser.lacks else ["exchange-9", *reversed(KNOWN)],
            "protocol": KNOWN[-1],
            "lacks": browser.lacks,
            "foreign": f"{web.foreign_origin}/foreign.html",
        }
        yield web


def lines_of(report: dict[str, Any]) -> str:
    shown = [
        f"{'ok  ' if c['ok'] else 'FAIL'} {c['ms']:6} ms  {c['name']:16} {c['why'] or ''}" for c in report["checks"]
    ]
    return "\n".join([report["browser"], f"errors: {report['errors']}", *shown])


async def test_page(browser: Browser, tmp_path: Path):
    """Everything that README.md promises of browsers, on one page; the server saw codes, reasons and ends."""
    seen = Seen()
    async with served(tmp_path, browser, seen) as web, showing(browser, f"{web.origin}/", tmp_path) as output:
        try:
            report = await asyncio.wait_for(asyncio.shield(web.report), DEADLINE)
        except TimeoutError:
            pytest.fail(f"no report; the server saw {seen}, and the browser printed:\n{output.read_text()[-4000:]}")
        print(lines_of(report))
        print("\n".join(map(json.dumps, seen)))
        assert report["checks"]
        assert [check["name"] for check in report["checks"] if not check["ok"]] == []
        assert report["errors"] == []
        assert [line for line in seen if line["event"] == "failed"] == []
        await seen.wait("closed", code=CODE, reason=REASON)
        await seen.wait("closed", code=7, reason="the second")
        await seen.wait("reset", code=79)
        if "stopping" not in browser.lacks:
            await seen.wait("stop", code=80)


async def test_demo(browser: Browser, tmp_path: Path):
    """The page of ``python -m aiopquic_webtransport.demo`` gets its session: who is in the room sees it come."""
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aiopquic_webtransport.demo", "--port", "0", "--page-port", "0",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert demo.stdout is not None
        digest = bytes.fromhex((await demo.stdout.readline()).decode().split()[-1])
        page = re.findall(r"http://\S+", (await demo.stdout.readline()).decode())[0]
        text = await asyncio.to_thread(lambda: urlopen(page).read().decode())
        (url,) = re.findall(r'"(https://[^"]+)"', text)
        async with asyncio.timeout(DEADLINE), webtransport.connect(url, server_certificate_hashes=[digest]) as session:
            lines = await session.accept_stream(bidirectional=False)
            async with showing(browser, page, tmp_path):
                told = b""
                while b'"came"' not in told:
                    told += await lines.read()
    finally:
        demo.kill()
        await demo.wait()
        demo._transport.close()  # type: ignore[attr-defined]  # its pipe is open as long as it is

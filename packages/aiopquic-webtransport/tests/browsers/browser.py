"""Starts a browser on a page, in a process group and with a profile of its own, and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Browser:
    name: str
    programs: tuple[str, ...]
    options: tuple[str, ...]
    "Before the address of the page; PROFILE is the folder of its profile."
    lacks: tuple[str, ...] = ()
    "What its WebTransport has not: see page/checks.js."

    def find(self) -> str | None:
        return next((path for path in map(shutil.which, self.programs) if path), None)


CHROMIUM = Browser(
    "chromium",
    ("chromium", "chromium-browser", "google-chrome"),
    ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
     "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
     "--user-data-dir=PROFILE"),
    lacks=("draining",),
)  # fmt: skip
FIREFOX = Browser(
    "firefox",
    ("firefox-esr", "firefox"),
    ("--headless", "--no-remote", "--profile", "PROFILE"),
    lacks=("codes", "protocols", "draining", "stopping"),
)
BROWSERS = (CHROMIUM, FIREFOX)


@asynccontextmanager
async def showing(browser: Browser, address: str, folder: Path) -> AsyncIterator[Path]:
    """The browser runs for as long as the context does.

    Yields:
        The file with what it printed.
    """
    program = browser.find()
    assert program is not None, f"{browser.name} is not installed"
    profile, output = folder / "profile", folder / "output.txt"
    profile.mkdir()
    home = folder / "home"
    home.mkdir()
    options = [option.replace("PROFILE", str(profile)) for option in browser.options]
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            program, *options, address, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True, env={**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)},
        )  # fmt: skip
        try:
            yield output
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

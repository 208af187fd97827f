"""Serve the page: ``python -m aiopquic_webtransport.demo [--port 4433] [--page-port 8000]``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
from importlib.resources import files

from aiopquic.testing.certificates import dev_certificate
from aiopquic_webtransport import serve
from aiopquic_webtransport.demo.pages import serve_page
from aiopquic_webtransport.demo.room import Room

__all__ = ["main", "run"]


async def run(port: int, page_port: int) -> None:
    """Serve until cancelled; prints the address of the page."""
    made = dev_certificate()
    text = files("aiopquic_webtransport.demo").joinpath("page.html").read_text()
    settings: dict[str, object] = {}
    page_server = await serve_page(lambda: text.replace("{{settings}}", json.dumps(settings)), "127.0.0.1", page_port)
    page_port = page_server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="aiopquic-demo-") as folder:
        certificate, key = made.write(folder)
        origins = [f"http://{host}:{page_port}" for host in ("localhost", "127.0.0.1")]
        serving = serve(
            None, "127.0.0.1", port, routes={"/room": Room()}, origins=origins, certificate=certificate, private_key=key
        )
        async with page_server, serving as server:
            # The address and not the name: to browsers that means ::1 first, and nobody is there.
            settings |= {"url": f"https://127.0.0.1:{server.port}/room", "hash": list(made.sha256)}
            print(f"certificate's SHA-256  {made.sha256.hex()}")
            print(f"open http://localhost:{page_port} in two windows of a browser", flush=True)
            await server.serve_forever()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m aiopquic_webtransport.demo", description=__doc__)
    parser.add_argument("--port", type=int, default=4433, help="UDP port of the sessions; 0 lets the system choose")
    parser.add_argument("--page-port", type=int, default=8000, help="TCP port of the page")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(options.port, options.page_port))


if __name__ == "__main__":
    main()

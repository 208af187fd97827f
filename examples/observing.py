"""What connections, engines and builds tell of themselves. Runs by itself: ``python examples/observing.py``."""

import asyncio
import subprocess
import sys
from pathlib import Path

import aiopquic
from aiopquic import metrics, qlog
from aiopquic.testing import dev_certificate

CERTIFICATE = dev_certificate()
ALPN = ["example"]
FOLDER = Path("qlogs")


async def handle(connection):
    await connection.wait_closed()


def serve(**settings):
    files = {"certificate": CERTIFICATE.certificate_pem, "private_key": CERTIFICATE.private_key_pem}
    return aiopquic.serve(handle, "127.0.0.1", 0, alpn=ALPN, **files, **settings)


def connect(server, **settings):
    return aiopquic.connect("127.0.0.1", server.port, alpn=ALPN, cadata=CERTIFICATE.certificate_pem, **settings)


async def figures():
    """Of a connection, of an engine, and of all engines for Prometheus."""
    async with serve() as server, connect(server) as client:
        await client.ping()
        stats = await client.stats()
        print("round trip known:", stats.smoothed_rtt > 0, "- packets lost:", stats.packets_lost)
        print("the server's handshakes:", server.stats().handshakes)
        print("for Prometheus:", "aiopquic_handshakes_total" in metrics.render())


async def logs():
    """Qlog of every connection, or of one for a while."""
    async with serve() as server, connect(server) as client:
        await client.start_qlog(FOLDER)
        await client.ping()
        await client.stop_qlog()
    async with serve() as server, connect(server, qlog_dir=FOLDER) as client:
        await client.ping()
    await aiopquic.close_idle_engines()


def read_logs():
    """What is in them, event by event."""
    files = list(FOLDER.glob("*.qlog"))
    events = [event["event"] for path in files for event in qlog.load(path)]
    print("qlog files:", len(files), "- with packets:", "packet_sent" in events)
    done = qlog.convert(files[0], FOLDER / "first.sqlog")
    print("for other tools:", done.complete, "-", "quic:packet_sent" in (FOLDER / "first.sqlog").read_text())


def commands():
    """What is linked, and what of this host slows QUIC down."""
    for command in ("versions", "doctor"):
        done = subprocess.run([sys.executable, "-m", "aiopquic", command], capture_output=True, text=True, check=False)
        print(command, "says something:", bool(done.stdout))


async def main():
    await figures()
    await logs()


FOLDER.mkdir(exist_ok=True)
asyncio.run(main())
read_logs()
commands()

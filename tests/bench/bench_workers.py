"""What a second worker gives: handshakes and bytes per second of one server, and the CPU time of its network threads.

``python tests/bench/bench_workers.py [SECONDS] [ROUNDS]`` prints a line for each key, count of workers, case and round.
The server is a process of its own; its clients are another, on the same host. Linux.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

import aiopquic
from aiopquic.streams._opening import Opening
from aiopquic.testing.certificates import dev_certificate

ALPN = ["bench"]
CONNECTING = 32
SENDING = 16
CHUNK = bytes(1 << 16)


def network_threads(pid: int) -> list[float]:
    """CPU seconds of each network thread of a process, the busiest first."""
    ticks = os.sysconf("SC_CLK_TCK")
    found = []
    for folder in Path(f"/proc/{pid}/task").iterdir():
        name, _, fields = (folder / "stat").read_text().partition("(")[2].rpartition(")")
        if name == "aiopquic":
            user, system = fields.split()[11:13]
            found.append((int(user) + int(system)) / ticks)
    return sorted(found, reverse=True)


async def serve(workers: int, certificate: str, key: str) -> None:
    """The server's process, until its stdin ends."""

    async def swallow(conn: aiopquic.Connection) -> None:
        async for stream in conn.incoming_streams():
            async for _ in stream:
                pass

    async with aiopquic.serve(
        swallow,
        "127.0.0.1",
        0,
        alpn=ALPN,
        certificate=certificate,
        private_key=key,
        workers=workers,
        max_connections=10_000,
        half_open_limit=10_000,
    ) as server:
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps([worker.handshakes for worker in server.stats().workers]))


def connect(port: int) -> Opening[aiopquic.Connection]:
    return aiopquic.connect("127.0.0.1", port, alpn=ALPN, verify_mode=ssl.CERT_NONE)


async def handshakes(port: int, seconds: float) -> float:
    """Connections that were opened and closed again, per second."""
    count, end = 0, time.perf_counter() + seconds

    async def visit() -> None:
        nonlocal count
        while time.perf_counter() < end:
            async with connect(port):
                count += 1

    await asyncio.gather(*(visit() for _ in range(CONNECTING)))
    return count / seconds


async def upload(port: int, seconds: float) -> float:
    """Megabits per second over many connections."""
    sent, end = 0, time.perf_counter() + seconds

    async def send() -> None:
        nonlocal sent
        async with connect(port) as conn:
            stream = await conn.open_send_stream()
            while time.perf_counter() < end:
                await stream.write(CHUNK)
                sent += len(CHUNK)
            stream.reset(0)

    await asyncio.gather(*(send() for _ in range(SENDING)))
    return sent * 8 / seconds / 1e6


def rsa_certificate(folder: Path) -> tuple[str, str]:
    """With a key of 4096 bits, whose signatures cost the server's network thread most of a handshake."""
    key = rsa.generate_private_key(65537, 4096)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "rsa.pem").write_bytes(certificate + secret)
    return str(folder / "rsa.pem"), str(folder / "rsa.pem")


async def measure(workers: int, seconds: float, kind: str, certificate: str, key: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve", str(workers), str(certificate), str(key),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    for case, unit in ((handshakes, "/s"), (upload, "Mbit/s"))[: 2 if kind == "ECDSA" else 1]:
        before, ours = network_threads(process.pid), time.process_time()
        figure = await case(port, seconds)
        after = network_threads(process.pid)
        used = [round((late - early) / seconds, 2) for late, early in zip(after, before, strict=True)]
        print(
            f"workers={workers} {kind:<5} {case.__name__:<10} {figure:8.0f} {unit:<6} server's threads {used} cores, "
            f"clients' process {(time.process_time() - ours) / seconds:.2f}",
            flush=True,
        )
    await process.communicate(b"")


async def main(seconds: float, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ecdsa, key = dev_certificate().write(folder)
        keys = {"RSA": rsa_certificate(Path(folder)), "ECDSA": (str(ecdsa), str(key))}
        for _ in range(rounds):
            for kind, files in keys.items():
                for workers in (1, 2):
                    await measure(workers, seconds, kind, *files)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(int(sys.argv[2]), sys.argv[3], sys.argv[4]))
    else:
        asyncio.run(main(float(sys.argv[1]) if sys.argv[1:] else 3.0, int(sys.argv[2]) if sys.argv[2:] else 3))

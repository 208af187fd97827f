"""A program that knows only the public names of the existing releases runs on ours, and says what it says on theirs.

``peers/legacy_program.py`` is that program, the same file for both. Tests marked ``release`` run it on a real release,
at both ends and at one end with ours at the other; the session ``release`` makes the environment for that.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiopquic.testing.fixtures import CertificateFiles

PROGRAM = Path(__file__).parent / "peers" / "legacy_program.py"
TIME_LIMIT = 60

CLIENT = """\
alpn legacy-00
peer 127.0.0.1 True closed False connected True
parameters 512 512
connection ids ['initial', 'local', 'remote'] no error 0
echo 0 (1, b'hello')
large echo 1 1048576 True
drained bbd05cf6097ac9b1
one way 2 3 (1, b'over there')
ended 12
refused True echoed 9bf63e779b85c640
sent True used 0
fill True
reset by the server 20 119
stopped by the server 24 120
gave up 28 5
gave up 36 6
priority 0
datagram 1200 4 True
datagram back b'gnip'
datagram too large
quality True
bytes True True
terminated ConnectionTerminated
versions True True
"""

SERVER = """\
serving
server alpn legacy-00 server
server opens 3 True
server got the end of 12
server got a reset of 28 code 5
server got a stop of 36 code 6
server terminated 9
"""

LOWLEVEL = """\
started True True
alpn legacy-00
server got 0 b'hello'
client got 0 b'and back'
stopped False False
"""


def python_of(side: str) -> str:
    """Ours, or that of a release."""
    if side == "ours":
        return sys.executable
    try:
        return os.environ["AIOPQUIC_RELEASE_PYTHON"]
    except KeyError:
        pytest.fail("these tests are run by the session release: ./dev nox -s release")


def both_ends(server: str, client: str, port: int, files: CertificateFiles) -> tuple[str, str]:
    """What the client's end and the server's end of the program say."""
    certificate, key = map(str, files)
    with subprocess.Popen(
        [python_of(server), str(PROGRAM), "server", str(port), certificate, key], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            words = [python_of(client), str(PROGRAM), "client", str(port), certificate]
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=TIME_LIMIT, check=False)
            rest, _ = process.communicate(timeout=TIME_LIMIT)
            assert (done.returncode, process.returncode) == (0, 0), done.stdout
            return done.stdout, first + rest
        finally:
            process.kill()


SIDES = [
    pytest.param("ours", "ours", id="ours"),
    pytest.param("theirs", "theirs", id="theirs", marks=pytest.mark.release),
    pytest.param("ours", "theirs", id="our server", marks=pytest.mark.release),
    pytest.param("theirs", "ours", id="our client", marks=pytest.mark.release),
]


@pytest.mark.parametrize(("server", "client"), SIDES)
def test_asyncio_program(server: str, client: str, unused_port: int, quic_certificate: CertificateFiles) -> None:
    """The same lines, whoever is at either end."""
    assert both_ends(server, client, unused_port, quic_certificate) == (CLIENT, SERVER)


@pytest.mark.parametrize("side", ["ours", pytest.param("theirs", marks=pytest.mark.release)])
def test_low_level_program(side: str, unused_port: int, quic_certificate: CertificateFiles) -> None:
    words = [python_of(side), str(PROGRAM), "lowlevel", str(unused_port), *map(str, quic_certificate)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=TIME_LIMIT, check=True)
    assert done.stdout == LOWLEVEL

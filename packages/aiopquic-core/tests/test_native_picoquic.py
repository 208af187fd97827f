"""picoquic's own tests, picoquic_ct and picohttp_ct, built against our picotls: how a new pin is judged.

The session ``native`` builds the two programs and runs this file; elsewhere the marker leaves it out, because building
them takes the sources and a C++ compiler.

Left out of what upstream has: the tests of LEFT_OUT, each with its reason; runs by the clock (``-s``, ``-f``, ``-c``,
``-d``, ``-F`` with a duration), each of which is done once with the length that upstream's own automation takes; its
benchmarks, demos and log readers, which test nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.native, pytest.mark.timeout(1000)]

RUN_WITH_STACKS = Path(__file__).resolve().parents[3] / "ci" / "run_with_stacks.py"
#: Tests in picoquic's sources that are not run, and why. Those of SKIPPED are in the program; the rest is not.
SKIPPED = {
    "version_negotiation_spoof": "wants a list of unknown versions ignored; by a patch of ours, such a list ends the "
    "attempt (RFC 9000 section 6.2), which test_terminations.py checks",
}
LEFT_OUT = SKIPPED | {
    "mbedtls": "tests the provider for mbedTLS, which nothing of ours is linked with",
    "tls_api_connect": "switched off in the sources: for stepping through by hand, says its comment",
    "zero_rtt_ech": "switched off in the sources",
    "bdp_cubic": "switched off in the sources",
}
DRIVERS = ("picoquic_ct", "picohttp_ct")
#: At least so many tests are run; fewer means that the list was not read.
FEWEST = {"picoquic_ct": 500, "picohttp_ct": 100}
SECONDS = 900


@pytest.fixture(scope="module")
def native() -> tuple[Path, Path]:
    """The folder of the two programs, and picoquic's sources."""
    try:
        return Path(os.environ["AIOPQUIC_NATIVE_DIR"]), Path(os.environ["AIOPQUIC_PICOQUIC_SOURCES"])
    except KeyError:
        pytest.fail("these tests are run by the session native: ./dev nox -s native")


@pytest.mark.parametrize("driver", DRIVERS)
def test_everything_passes(driver: str, native: tuple[Path, Path]) -> None:
    """``-r`` repeats a failed test, as upstream's own automation does: some measure the time of a busy machine."""
    folder, sources = native
    run = folder / "run"  # they leave their logs where they run
    run.mkdir(exist_ok=True)
    words = [str(folder / driver), "-S", str(sources), "-n", "-r"]
    if driver == "picoquic_ct":
        words += [word for name in SKIPPED for word in ("-x", name)]
    with (folder / f"{driver}.log").open("w") as log:
        limit = (sys.executable, str(RUN_WITH_STACKS), "--seconds", str(SECONDS), "--")
        status = subprocess.run([*limit, *words], cwd=run, stdout=log, stderr=log, check=False).returncode
    text = (folder / f"{driver}.log").read_text(errors="replace")
    tried = re.search(r"^Tried (\d+) tests, (\d+) fails", text, re.M)
    still = re.search(r"^Still failing: .*$", text, re.M)
    assert still is None, still and still[0]
    assert status in (0, 1), f"{driver} ended with {status}; see {folder / driver}.log"
    assert tried is not None
    assert int(tried[1]) >= FEWEST[driver]
    assert tried[2] == "0" or re.search(r"^All tests pass", text, re.M), text[-500:]


@pytest.mark.parametrize("driver", DRIVERS)
def test_nothing_else_is_left_out(driver: str, native: tuple[Path, Path]) -> None:
    """Every test of the sources' table was run, but for those of the list; and those were not."""
    folder, sources = native
    log = (folder / f"{driver}.log").read_text(errors="replace")
    run = set(re.findall(r"^Starting test number \d+, (\w+)$", log, re.M))
    kind = driver.removesuffix("_ct")
    table = (sources / f"{kind}_t" / f"{kind}_t.c").read_text()
    written = set(re.findall(r'^\s*\{\s*"(\w+)",', table, re.M))
    missing = {re.sub(r"^mbedtls_.*", "mbedtls", name) for name in written - run}
    assert missing == set(LEFT_OUT) & written

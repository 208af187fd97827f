"""What does not depend on how busy the host is: virtual time on a simulated network, and counts of instructions."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiopquic.testing.certificates import dev_certificate
from aiopquic_bench.contenders import run_program
from aiopquic_bench.environments import Environment
from aiopquic_bench.problems import ExitCode, Problem

__all__ = [
    "COUNTED",
    "EXACT",
    "SEEDS",
    "VARIED",
    "Counts",
    "Outcome",
    "count_instructions",
    "has_callgrind",
    "simulate",
]

#: Scenarios of programs/simulated.py that are the same whatever the seed is, and those that are taken with several.
EXACT = ("bulk", "bulk-100", "echo", "churn", "handshakes")
VARIED = ("bulk-lossy",)
SEEDS = tuple(range(1, 11))

#: Those whose instructions are counted, and what they are counted for.
COUNTED = {
    "count-bulk": "byte",
    "count-bulk-100": "byte",
    "count-echo": "echo",
    "count-churn": "stream",
    "count-handshakes": "connection",
}

#: Seconds that the simulations may take, and those under valgrind, on a host that has much else to do.
SIMULATION_TIMEOUT = 300.0
COUNTING_TIMEOUT = 900.0

#: The library of the engine, which has no Python in it.
ENGINE = "libaiopquic"

#: The program calls this function of libc where the count begins and where it ends.
_MARK = "ctermid"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One simulated run."""

    virtual_s: float
    "Seconds of the network's clock."
    datagrams: float
    wire_bytes: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions for each byte, echo, stream or connection, of both ends of it."""

    total: float
    engine: float
    "Of them, those of the engine and picoquic, without Python, cryptography and the C library."


def simulate(
    environment: Environment, runs: Sequence[tuple[str, int]], *, plant: int = 0
) -> dict[tuple[str, int], Outcome]:
    """Run scenarios with their seeds.

    Raises:
        Problem: a run failed, or the environment has no simulated network.
    """
    results = _run(environment, runs, plant=plant, counts_instructions=False, timeout=SIMULATION_TIMEOUT)
    return {
        run: Outcome(result["virtual_s"], result["datagrams"], result["wire_bytes"])
        for run, result in zip(runs, results, strict=True)
    }


def has_callgrind() -> bool:
    """Whether valgrind is installed."""
    return shutil.which("valgrind") is not None


def count_instructions(environment: Environment, names: Iterable[str], *, plant: int = 0) -> dict[str, Counts]:
    """Count what scenarios take.

    Raises:
        Problem: a run failed, or valgrind can't run it.
    """
    scenarios = list(names)
    with tempfile.TemporaryDirectory(prefix="aiopquic-bench-") as folder:
        out = Path(folder) / "callgrind.out"
        valgrind = [
            "valgrind",
            "--tool=callgrind",
            f"--dump-before={_MARK}",
            "--compress-strings=no",
            "--compress-pos=no",
            f"--callgrind-out-file={out}",
        ]
        runs = [(name, 1) for name in scenarios]
        results = _run(
            environment, runs, plant=plant, counts_instructions=True, timeout=COUNTING_TIMEOUT, before=valgrind
        )
        found = {}
        for number, (name, result) in enumerate(zip(scenarios, results, strict=True)):
            # A file for what came before the first mark, then one for what came after it, and so on.
            dump = out.with_name(f"{out.name}.{2 * number + 2}")
            try:
                total, engine = parse_callgrind(dump.read_text().splitlines())
            except OSError:
                raise Problem(f"valgrind has not counted {name}: is its version older than 3.13?") from None
            found[name] = Counts(total / result["units"], engine / result["units"])
        return found


def parse_callgrind(lines: Iterable[str]) -> tuple[int, int]:
    """Instructions in all, and those of the engine, from a file without compressed names and positions."""
    total = engine = 0
    is_engine = is_inclusive = False
    for line in lines:
        if line.startswith("ob="):
            is_engine = line.rpartition("/")[2].startswith(ENGINE)
        elif line.startswith("calls="):
            is_inclusive = True  # the next line is what the called function took, which stands elsewhere too
        elif line[:1].isdigit():
            if not is_inclusive:
                count = int(line.split()[1])
                total += count
                engine += count if is_engine else 0
            is_inclusive = False
    return total, engine


def _run(
    environment: Environment,
    runs: Sequence[tuple[str, int]],
    *,
    plant: int,
    counts_instructions: bool,
    timeout: float,
    before: Sequence[str] = (),
) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="aiopquic-bench-") as folder:
        # Ed25519: every handshake has the same number of bytes.
        certificate, private_key = dev_certificate(["server"], key_type="ed25519").write(folder)
        question = {
            "certificate": str(certificate),
            "private_key": str(private_key),
            "counts_instructions": counts_instructions,
            "plant": plant,
            "runs": [list(run) for run in runs],
        }
        answer = run_program(environment.python, "simulated", question, timeout, who=environment.label, before=before)
    if "failure" in answer:
        raise Problem(f"{environment.label}: {answer['failure']}", ExitCode.WRONG_BYTES)
    results: list[dict[str, Any]] = answer["results"]
    return results

"""The option of the baselines, and how one is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aiopquic.testing.certificates import dev_certificate
from aiopquic_bench.job import Job
from aiopquic_bench.plan import DEFAULT_DURATION, checked_duration, warm_up_of
from aiopquic_bench.problems import UsageProblem
from aiopquic_bench.processes import measure_in_process

Baseline = Callable[[str, str, int], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--duration", type=float, default=DEFAULT_DURATION, help=f"seconds of each baseline; {DEFAULT_DURATION:g}"
    )


def pytest_configure(config: pytest.Config) -> None:
    try:
        checked_duration(config.getoption("--duration"))
    except UsageProblem as problem:
        raise pytest.UsageError(str(problem)) from None


@pytest.fixture
def baseline(request: pytest.FixtureRequest, tmp_path: Path) -> Baseline:
    """Measures a case once in two processes, with every byte checked, and prints what it gave."""
    duration = request.config.getoption("--duration")
    dev_certificate().write(tmp_path)

    def measure(api: str, case: str, size: int) -> None:
        job = Job(
            case=case,
            api=api,
            size=size,
            duration=duration,
            warm_up=warm_up_of(duration),
            certificates=str(tmp_path),
        )
        figures = measure_in_process(job)
        speed, cost = figures["mbit_per_s"], figures["cpu_s_per_gb"]
        print(f"\n{api} {case} {size} B: {speed:.0f} Mbit/s, {cost:.2f} CPU s/GB")
        assert speed > 0

    return measure

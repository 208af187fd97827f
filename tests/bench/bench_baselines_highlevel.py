"""One stream for as long as it takes, over the APIs of asyncio: what a program gets.

    pytest tests/bench/bench_baselines_highlevel.py -s -v --duration=60

A figure of one run on one host: `aiopquic-bench run` repeats, and `aiopquic-bench compare` judges.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.timeout(0)  # a measurement has a deadline of its own


@pytest.mark.parametrize("size", [1 << 10, 1 << 12, 1 << 14])
@pytest.mark.parametrize("case", ["up", "down"])
@pytest.mark.parametrize("api", ["asyncio", "streams"])
def test_sustained(api: str, case: str, size: int, baseline: Callable[[str, str, int], None]) -> None:
    baseline(api, case, size)

"""The same over TransportContext, the layer below: what asyncio's shapes cost is the difference.

pytest tests/bench/bench_baselines_lowlevel.py -s -v --duration=60
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.timeout(0)  # a measurement has a deadline of its own


@pytest.mark.parametrize("size", [1 << 10, 1 << 12, 1 << 14])
@pytest.mark.parametrize("case", ["up", "down"])
def test_sustained(case: str, size: int, baseline: Callable[[str, str, int], None]) -> None:
    baseline("low", case, size)

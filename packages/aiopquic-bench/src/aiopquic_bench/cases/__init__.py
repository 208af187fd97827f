"""The cases, in the order in which they are run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from aiopquic_bench.cases import (
    churn,
    datagram_echo,
    datagrams,
    handshakes,
    imports,
    latency,
    memory,
    micro,
    sessions,
    throughput,
)
from aiopquic_bench.cases.case import Case
from aiopquic_bench.problems import UsageProblem

__all__ = ["CASES", "Case", "cases_named"]

CASES: dict[str, Case] = {
    case.name: case
    for module in (
        throughput,
        churn,
        latency,
        datagrams,
        datagram_echo,
        handshakes,
        sessions,
        memory,
        imports,
        micro,
    )
    for case in module.CASES
}


def cases_named(names: Sequence[str]) -> list[Case]:
    """The cases and groups of these names, each once; all of them for no name.

    Raises:
        UsageProblem: there is no such case.
    """
    groups = {case.group for case in CASES.values()}
    for name in names:
        if name not in CASES and name not in groups:
            nearest = difflib.get_close_matches(name, [*CASES, *sorted(groups)], n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else "aiopquic-bench cases lists those there are"
            raise UsageProblem(f"there is no case {name!r}: {hint}")
    return [case for case in CASES.values() if not names or case.name in names or case.group in names]

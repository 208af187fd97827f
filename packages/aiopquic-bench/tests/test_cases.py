"""Every case gives its figures, with every API that it has, and leaves nothing behind."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from aiopquic.testing import assert_no_leaks
from aiopquic_bench.apis import APIS
from aiopquic_bench.cases import CASES, cases_named
from aiopquic_bench.figures import KINDS, percentile
from aiopquic_bench.job import Job
from aiopquic_bench.problems import UsageProblem
from aiopquic_bench.processes import measure_in_process
from aiopquic_bench.running import measure_once

MakeJob = Callable[..., Job]

#: Those whose figures are made of differences that can be nothing, or less.
MAY_BE_ZERO = {"lost_percent", "client_kb_each"}


@pytest.mark.parametrize(("name", "api"), [(case.name, api) for case in CASES.values() for api in case.apis])
def test_gives_figures(name: str, api: str, make_job: MakeJob):
    with assert_no_leaks():
        figures = measure_once(make_job(name, api=api))
    assert figures
    for figure, value in figures.items():
        assert figure in KINDS
        assert math.isfinite(value)
        assert value > 0 or figure in MAY_BE_ZERO, figure


@pytest.mark.parametrize("api", list(APIS))
def test_without_a_network_thread(api: str, make_job: MakeJob):
    assert measure_in_process(make_job("echo", api=api, driver="inline", is_one_process=False))["p50_us"] > 0


@pytest.mark.parametrize("api", [name for name, api in APIS.items() if api.has_workers])
def test_with_workers(api: str, make_job: MakeJob):
    figures = measure_in_process(make_job("handshakes", api=api, driver="thread", workers=2, is_one_process=False))
    assert figures["per_s"] > 0


@pytest.mark.parametrize("size", [1, 8191, 1 << 20])
def test_takes_sizes_of_any_kind(size: int, make_job: MakeJob):
    assert measure_once(make_job("both", size=size))["mbit_per_s"] > 0


def test_two_processes_have_an_account_each(make_job: MakeJob):
    figures = measure_in_process(make_job("up", is_one_process=False))
    assert figures["client_cpu_s_per_gb"] > 0
    assert figures["server_cpu_s_per_gb"] > 0
    both = figures["client_cpu_s_per_gb"] + figures["server_cpu_s_per_gb"]
    assert figures["cpu_s_per_gb"] == pytest.approx(both)


def test_memory_of_both_processes(make_job: MakeJob):
    figures = measure_in_process(make_job("memory-stream", is_one_process=False))
    assert figures["server_kb_each"] > 0.1


def test_names_and_groups():
    assert [case.name for case in cases_named(["echo", "memory"])] == ["echo", "memory-connection", "memory-stream"]
    assert cases_named([]) == list(CASES.values())


@pytest.mark.parametrize(
    ("name", "says"), [("ecko", "did you mean 'echo'"), ("trouput", "'throughput'"), ("%", "aiopquic-bench cases")]
)
def test_unknown_case(name: str, says: str):
    with pytest.raises(UsageProblem, match=says):
        cases_named([name])


def test_apis_of_the_cases_exist():
    assert {api for case in CASES.values() for api in case.apis} == set(APIS)


def test_percentiles():
    values = list(map(float, range(1, 101)))
    assert [percentile(values, p) for p in (0, 50, 90, 99, 100)] == [1, 50, 90, 99, 100]
    assert percentile([7.0], 99) == 7

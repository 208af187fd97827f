import pytest

import check_wheel

WHEEL = "aiopquic_core-0.1.0-cp311-cp311-linux_x86_64.whl"
LICENCES = [f"aiopquic_core-0.1.0.dist-info/licenses/{n}" for n in ("LICENSE", "THIRD_PARTY_NOTICES")]
GOOD = [*check_wheel.CORE_MEMBERS, *LICENCES, "aiopquic/__init__.py"]


def test_passes():
    assert check_wheel.check_names(WHEEL, GOOD) == []


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([n for n in GOOD if not n.endswith("NOTICES")], "has no THIRD_PARTY_NOTICES"),
        ([*GOOD, "aiopquic_core.libs/libaiopquic-1.so"], "these libaiopquic"),
        ([*GOOD, "aiopquic/_binding/_engine.pyx"], "ships"),
        ([*GOOD, "aiopquic/_binding/_engine.pxd"], "ships"),
        ([n for n in GOOD if not n.endswith("abi.h")], "lacks"),
    ],
)
def test_fails(names, says):
    problems = check_wheel.check_names(WHEEL, names)
    assert len(problems) == 1
    assert says in problems[0]


def test_bench_has_its_program():
    wheel = "aiopquic_bench-0.1.0-py3-none-linux_x86_64.whl"
    names = ["aiopquic_bench-0.1.0.dist-info/licenses/LICENSE", check_wheel.BENCH_PROGRAM]
    assert check_wheel.check_names(wheel, names) == []
    assert check_wheel.check_names(wheel, names[:1]) == [f"lacks {check_wheel.BENCH_PROGRAM}"]


def test_exports():
    good = "".join(f"0 T {n}\n" for n in ("aiopq_abi_version", "aiopq_build_id", "picoquic_create", "picosplay_insert"))
    assert check_wheel.check_exports(good) == []
    assert check_wheel.check_exports(good + "0 T ptls_new\n") == ["exports ptls_new"]
    assert check_wheel.check_exports(good.replace("picosplay_insert", "picosplay_x")) == [
        "does not export picosplay_insert"
    ]

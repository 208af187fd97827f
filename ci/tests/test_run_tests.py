import os
import subprocess
import sys

import pytest

import run_tests
from run_tests import CTest, Failure, Pytest, judge

# ---- the judgement, with a tool that runs nothing ----


class Script:
    """Fails as it is told: what the whole run fails by, and the exit codes of each test's repetitions."""

    failed = 7

    def __init__(self, failures, **repetitions):
        self.failures = failures
        self.repetitions = {name: list(codes) for name, codes in repetitions.items()}

    def run(self, seconds, words):
        if words == ["all"]:
            return (self.failed if self.failures else 0), self.failures
        return self.repetitions[words[0]].pop(0), []

    def one(self, words, name):
        assert words == ["all"]
        return [name]


FIVE_PASS = [0] * 5


@pytest.fixture
def file(tmp_path):
    return tmp_path / "unsteady"


def test_what_passes_is_not_repeated(file):
    assert judge(Script([]), 1, ["all"], file) == 0
    assert not file.exists()


def test_an_unsteady_test_is_told_with_its_output(file, capsys):
    tool = Script([Failure("x", "E  not yet\n\nand more\n")], x=FIVE_PASS)
    assert judge(tool, 1, ["all"], file) == 0
    assert tool.repetitions == {"x": []}
    assert (
        file.read_text() == "UNSTEADY x: failed once, then passed 5 times alone\n    E  not yet\n    \n    and more\n"
    )
    assert "*** UNSTEADY x" in capsys.readouterr().out


def test_both_failures_of_a_test_are_told(file):
    tool = Script([Failure("x", "in its body"), Failure("x", "behind it")], x=FIVE_PASS)
    assert judge(tool, 1, ["all"], file) == 0
    assert file.read_text().count("UNSTEADY") == 1
    assert "    in its body\n    behind it\n" in file.read_text()


@pytest.mark.parametrize("place", range(5))
def test_one_more_failure_fails(file, place):
    codes = [0] * place + [1]
    assert judge(Script([Failure("x", "")], x=codes), 1, ["all"], file) == 7
    assert not file.exists()


def test_one_that_is_broken_beside_one_that_is_unsteady(file):
    assert judge(Script([Failure("x", ""), Failure("y", "")], x=[1], y=FIVE_PASS), 1, ["all"], file) == 7
    assert not file.exists()


@pytest.mark.parametrize(("before", "now", "code"), [(0, 3, 0), (0, 4, 7), (2, 1, 0), (3, 1, 7)])
def test_more_than_three_are_no_chance(file, before, now, code):
    """Those of earlier steps count. Their output does not, whatever stands in it."""
    names = "abcd"[:now]
    file.write_text("UNSTEADY earlier: failed once\n    UNSTEADY in its output\n" * before)
    tool = Script([Failure(name, "") for name in names], **dict.fromkeys(names, FIVE_PASS))
    assert judge(tool, 1, ["all"], file) == code
    told = [line.split(":")[0] for line in file.read_text().splitlines() if line.startswith("UNSTEADY")]
    assert told == ["UNSTEADY earlier"] * before + [f"UNSTEADY {name}" for name in names if code == 0]


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("E   AssertionError: left behind: 1 stream. Close", "a leak"),
        ("a.c:1: x: failed: nothing alive: 1 engines", "a leak"),
        ("worker 'gw0' crashed while running 'x'", "a crash"),
        ("Fatal Python error: Segmentation fault", "a crash"),
        ("CalledProcessError: Command '...' died with <Signals.SIGSEGV: 11>.", "a crash"),
        ("assert -11 == 0\n  where -11 = CompletedProcess(args=[], returncode=-11).returncode", "a crash"),
        ("WARNING: ThreadSanitizer: data race (pid=1)", "a sanitizer's report"),
        ("a.c:1:2: runtime error: signed integer overflow", "a sanitizer's report"),
        ("E   Failed: Timeout (>120.0s) from pytest-timeout.", "a hang"),
        ("x: took too long", "a hang"),
        ("ctest says: SEGFAULT\n", "a crash or a hang"),
        ("ctest says: Timeout\n", "a crash or a hang"),
    ],
)
def test_never_forgiven(file, capsys, output, what):
    """Nothing is repeated then."""
    assert judge(Script([Failure("x", f"first\n{output}")]), 1, ["all"], file) == 7
    assert f"x failed by {what}:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "output", ["E   assert 2 == 3", "TimeoutError", "ctest says: Failed\na.c:1: x: failed: 2 == 3"]
)
def test_what_can_be_chance(output):
    assert Failure("x", output).never() is None


def test_other_ends_of_the_tool_are_kept(file):
    """It was interrupted, cannot read a file, hangs: whatever failed besides."""
    tool = Script([Failure("x", "")])
    tool.run = lambda seconds, words: (124, tool.failures)
    assert judge(tool, 1, ["all"], file) == 124


# ---- the tools ----


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PYTEST")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


SAMPLE = """
import os, pathlib, pytest, time

@pytest.fixture
def leaks():
    yield
    assert 0, "left behind: 2 engines"

@pytest.mark.parametrize("word", ["a b"])
def test_once(word):
    with pathlib.Path("runs").open("a") as runs:
        runs.write(".")
    print("what it prints")
    assert pathlib.Path("runs").stat().st_size > 1, "not yet"

def test_leak(leaks):
    pass

def test_crash():
    os.abort()

def test_hang():
    time.sleep(100)
"""


def test_failures_of_pytest(folder):
    (folder / "test_sample.py").write_text(SAMPLE)
    words = ["-p", "xdist.plugin", "-p", "pytest_timeout", "-n", "1", "--timeout", "2", "-p", "no:cacheprovider"]
    code, failures = Pytest().run(60, words)
    assert code == Pytest.failed
    by_name = {failure.name.partition("::")[2]: failure for failure in failures}
    assert {name: failure.never() for name, failure in by_name.items()} == {
        "test_once[a b]": None,
        "test_leak": "a leak",
        "test_crash": "a crash",
        "test_hang": "a hang",
    }
    output = by_name["test_once[a b]"].output
    assert "AssertionError: not yet" in output
    assert "what it prints" in output
    once = Pytest().one(words, by_name["test_once[a b]"].name)
    assert Pytest().run(60, once) == (0, [])
    assert (folder / "runs").read_text() == ".."


def test_a_run_of_pytest_that_hangs_and_one_without_tests(folder):
    (folder / "test_sample.py").write_text("import time\ntime.sleep(100)\n")
    assert Pytest().run(1, []) == (124, [])
    (folder / "test_sample.py").write_text("")
    assert Pytest().run(60, [])[0] == 5


PROJECT = """
cmake_minimum_required(VERSION 3.21)
project(sample NONE)
enable_testing()
add_test(NAME passes COMMAND true)
add_test(NAME once COMMAND sh "${CMAKE_SOURCE_DIR}/once.sh")
add_test(NAME once_and_more COMMAND false)
add_test(NAME crashes COMMAND sh "${CMAKE_SOURCE_DIR}/crashes.sh")
add_test(NAME hangs COMMAND sleep 100)
set_tests_properties(hangs PROPERTIES TIMEOUT 1)
add_test(NAME missing COMMAND nothing_of_this_name)
"""


def test_failures_of_ctest(folder):
    (folder / "CMakeLists.txt").write_text(PROJECT)
    (folder / "once.sh").write_text(f"echo . >>{folder}/runs\necho not yet\ntest $(wc -l <{folder}/runs) -gt 1\n")
    (folder / "crashes.sh").write_text("kill -SEGV $$\n")
    build = folder / "build"
    subprocess.run(["cmake", "-S", folder, "-B", build, "-G", "Ninja"], check=True, capture_output=True)
    words = ["--test-dir", str(build), "-j", "4"]
    code, failures = CTest().run(60, words)
    assert code == CTest.failed
    assert {failure.name: failure.never() for failure in failures} == {
        "once": None,
        "once_and_more": None,
        "crashes": "a crash or a hang",
        "hangs": "a crash or a hang",
        "missing": "a crash or a hang",
    }
    assert "not yet" in next(failure.output for failure in failures if failure.name == "once")
    assert CTest().run(60, CTest().one(words, "once")) == (0, [])
    assert (folder / "runs").read_text().count(".") == 2


def test_as_a_program(folder):
    """The file of a whole run is named by the environment."""
    (folder / "test_sample.py").write_text(SAMPLE.partition("def test_leak")[0])
    env = dict(os.environ, **{run_tests.FILE_VARIABLE: str(folder / "unsteady")})
    command = [sys.executable, run_tests.__file__, "--seconds", "60", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "unsteady").read_text().startswith("UNSTEADY test_sample.py::test_once[a b]: failed once")
    assert (folder / "runs").read_text() == "." * 6

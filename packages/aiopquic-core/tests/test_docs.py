"""The documents keep up with the code: programs run, quotes and names are looked up, links lead somewhere."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from aiopquic import exceptions
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.testing.certificates import dev_certificate

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
if not DOCS.is_dir():
    pytest.skip("the documents are in the repository only", allow_module_level=True)

PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", EXAMPLES / "README.md", *DOCS.rglob("*.md")]
)
PACKAGE = ROOT / "packages" / "aiopquic-core"
WEBTRANSPORT = ROOT / "packages" / "aiopquic-webtransport"
TEST_FOLDERS = [package / part for package in (PACKAGE, WEBTRANSPORT) for part in ("tests", "csrc/tests")]
#: What a path on a page may be relative to.
BASES = (ROOT, PACKAGE, PACKAGE / "csrc", PACKAGE / "src" / "aiopquic", PACKAGE / "tests", DOCS, ROOT / "third_party")
SOURCES = ("csrc/**/*.[ch]", "src/**/*.py", "src/**/*.pyx", "src/**/*.pxd", "cmake/*", "CMakeLists.txt")

#: Seconds that a program of a page or an example may take.
TIME_LIMIT = 60

#: A marker, then a fenced block: `run` for a program, `output` for what the program before prints, `test` for a
#: module that pytest runs, `from FILE` for a quote.
MARKED = re.compile(r"^<!-- (run|output|test|from (\S+)) -->\n```(\w*)\n(.*?)^```$", re.M | re.S)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.M)
CODE = re.compile(r"`([^`\n]+)`")
TEST_NAME = re.compile(r"\b((?:\w+/)?test_\w+\.(?:py|c))::(\w+)")
PATH = re.compile(r"[\w./-]+/[\w.-]+\.(?:pyi|pyx|pxd|py|c|h|md|json|cmake|map)\b")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return FENCE.sub("", page.read_text())


@cache
def sources() -> str:
    """Everything that a name of C on a page may stand in."""
    files = sorted(
        {path for pattern in SOURCES for path in PACKAGE.glob(pattern) if path.is_file() and path.suffix != ".pyc"}
    )
    return "\n".join(path.read_text() for path in files)


def programs() -> Iterator[tuple[str, str, str]]:
    """Where each program is, its text, and what it prints."""
    for page in PAGES:
        blocks = list(MARKED.finditer(page.read_text()))
        for index, block in enumerate(blocks):
            if block[1] == "run":
                follows = blocks[index + 1] if index + 1 < len(blocks) else None
                output = follows[4] if follows is not None and follows[1] == "output" else ""
                yield f"{name_of(page)}:{index}", block[4], output


def quotes() -> Iterator[tuple[str, str, str]]:
    """Where each quote is, the file that it is from, and its text."""
    for page in PAGES:
        for block in MARKED.finditer(page.read_text()):
            if block[2] is not None:
                yield name_of(page), block[2], block[4]


def run(arguments: list[str], folder: Path) -> str:
    """What a program prints. Warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


PROGRAMS = {where: (text, output) for where, text, output in programs()}


@pytest.mark.parametrize("where", PROGRAMS)
def test_program_of_a_page_runs(where: str, tmp_path: Path) -> None:
    """It ends well, without a warning, and prints what the page says."""
    text, output = PROGRAMS[where]
    if "aiopquic_webtransport" in text:
        pytest.importorskip("aiopquic_webtransport", reason="the WebTransport wheel is not installed")
    (tmp_path / "program.py").write_text(text)
    assert run(["program.py"], tmp_path) == output


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tests_of_a_page_pass(page: Path, tmp_path: Path) -> None:
    """A test module that a page shows passes, in a project that has nothing but it."""
    modules = [block[4] for block in MARKED.finditer(page.read_text()) if block[1] == "test"]
    for number, text in enumerate(modules):
        (tmp_path / f"test_page_{number}.py").write_text(text)
    if modules:
        settings = ("-o", "asyncio_default_fixture_loop_scope=function", "-p", "no:cacheprovider")
        done = run(
            ["-m", "pytest", "-q", "-o", "addopts=", *settings, "--rootdir", str(tmp_path), str(tmp_path)], tmp_path
        )
        assert re.search(r"^\d+ passed in", done, re.M), done


def test_pages_have_programs() -> None:
    """The readme opens with one; an extraction that finds nothing would pass every other test."""
    assert "README.md:0" in PROGRAMS
    assert len(PROGRAMS) >= 3
    assert len(list(quotes())) >= 8


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_on_a_page_is_run_or_quoted(page: Path) -> None:
    """No piece of Python is there that nobody checks."""
    checked = {block[4] for block in MARKED.finditer(page.read_text())}
    for language, text in FENCE.findall(page.read_text()):
        assert language, f"a block without a language: {text[:60]!r}"
        if language in ("python", "cython", "c"):
            assert text in checked, f"neither run nor quoted: {text[:60]!r}"


@pytest.mark.parametrize(("page", "file", "text"), list(quotes()))
def test_quote_is_what_the_file_says(page: str, file: str, text: str) -> None:
    assert text in (ROOT / file).read_text(), f"{page} quotes {file} as it is no longer"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Files exist, and so do the headings that a link names."""
    for link in LINK.findall(prose(page)):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        if anchor:
            assert anchor in {slug(text) for text in HEADING.findall(target.read_text())}, link


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_names_and_paths_exist(page: Path) -> None:
    """What a page calls a function, a constant or a file of ours is one."""
    for code in CODE.findall(prose(page)):
        for name in re.findall(r"\b(?:aiopq|AIOPQ)_\w+", code):
            assert re.search(rf"\b{name}\b", sources()), f"nothing is called {name}"
        for path in PATH.findall(code):
            found = any((base / path).exists() for base in BASES)
            assert found or any(PACKAGE.glob(f"**/{path}")), f"there is no file {path}"


def test_index_lists_every_page() -> None:
    linked = {(DOCS / link).resolve() for link in LINK.findall((DOCS / "index.md").read_text())}
    assert {page for page in DOCS.rglob("*.md") if page.name != "index.md"} <= linked


def test_named_tests_exist() -> None:
    """`FILE::NAME` on a page is a Python test or a case of a C test."""
    named = {name for page in PAGES for code in CODE.findall(prose(page)) for name in TEST_NAME.findall(code)}
    assert len(named) > 50
    for file, name in named:
        wanted = f"def {name}(" if file.endswith(".py") else f"TEST({name})"
        found = [folder / file for folder in TEST_FOLDERS if (folder / file).exists()]
        assert found, f"there is no {file}"
        assert any(wanted in path.read_text() for path in found), f"{file} has no {name}"


def test_every_exception_is_explained() -> None:
    """A new class of exception needs its line on the page of errors."""
    text = (DOCS / "errors.md").read_text()
    missing = [name for name in exceptions.__all__ if name.endswith("Error") and name not in text]
    assert missing == []


def test_settings_on_the_pages_have_these_defaults() -> None:
    """The tables of backpressure.md say what the code does."""
    text = (DOCS / "backpressure.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+ [KM]iB|none) \|", text, re.M))
    assert len(rows) == 6
    for name, value in rows.items():
        default = getattr(QuicConfiguration(), name)
        assert size_of(value) == default, name


def size_of(text: str) -> int | None:
    if text == "none":
        return None
    number, unit = text.split()
    return int(number) << {"KiB": 10, "MiB": 20}[unit]


def test_examples_are_all_listed() -> None:
    listed = set(LINK.findall((EXAMPLES / "README.md").read_text()))
    assert {path.name for path in EXAMPLES.glob("*.py")} <= listed


@pytest.mark.parametrize(
    ("file", "output"),
    [
        (
            "events.py",
            "client: the server counted 8388608 bytes\n"
            "server: closed by the peer with application code 0x7: that was all\n",
        ),
        ("low_level.py", "hello, closed with code 0\n"),
    ],
)
def test_example_in_one_process(file: str, output: str, tmp_path: Path) -> None:
    printed = run([str(EXAMPLES / file)], tmp_path)
    assert sorted(printed.splitlines()) == sorted(output.splitlines())


def test_example_of_workers(tmp_path: Path) -> None:
    printed = run([str(EXAMPLES / "workers.py")], tmp_path).splitlines()
    served = [int(re.fullmatch(rf"worker {number} served (\d+) clients", printed[number])[1]) for number in range(2)]  # type: ignore[index]
    assert sum(served) == 32
    assert printed[2:] == ["32 in all, 0 packets were handed over"]


@pytest.mark.parametrize("shape", ["echo", "readers"])
def test_echo_server_and_client(shape: str, tmp_path: Path) -> None:
    """Two processes; the client's answer, its refusal of a stranger, and the server's end on SIGINT."""
    certificate, _ = dev_certificate().write(tmp_path / "certificates")
    stranger, _ = dev_certificate().write(tmp_path / "stranger")
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / f"{shape}_server.py"), "certificates", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().split()[-1]
            client = [sys.executable, str(EXAMPLES / f"{shape}_client.py")]
            answers = [
                subprocess.run(
                    [*client, str(cafile), "grüße", port], capture_output=True, text=True, timeout=TIME_LIMIT
                )
                for cafile in (certificate, stranger)
            ]
            assert answers[0].stdout == "grüße\n", answers[0].stderr
            assert "round trip" in answers[0].stderr
            assert answers[1].stdout.startswith("not the server that"), answers[1]
            server.send_signal(signal.SIGINT)
            output, errors = server.communicate(timeout=TIME_LIMIT)
            assert (server.returncode, output, errors) == (0, "", "")
        finally:
            server.kill()


@pytest.mark.cli
def test_the_readmes_commands_exist(tmp_path: Path) -> None:
    """Every command of the readme is one, with the options that it shows; making a certificate works as shown."""
    readme = (ROOT / "README.md").read_text()
    lines = re.findall(r"^\$ aiopquic (\w+)(.*)$", readme, re.M)
    assert {command for command, _ in lines} >= {"serve", "get", "put", "list", "certificate", "demo", "versions"}
    code = "import sys; from aiopquic.cli.app import run; sys.exit(any([run([c, '--help']) for c in sys.argv[1:]]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *(command for command, _ in lines)],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        env={"COLUMNS": "200", "TERM": "dumb"},
    )
    assert done.returncode == 0, done.stderr
    helps = dict(re.findall(r"Usage: aiopquic (\w+)(.*?)(?= Usage: |\Z)", done.stdout, re.S))
    for command, rest in lines:
        for option in re.findall(r"--[\w-]+", rest.partition("#")[0]):
            assert option in helps[command], f"{command} has no {option}"
    run(["-m", "aiopquic", "certificate", "certificates", "--host", "example.org"], tmp_path)
    assert (tmp_path / "certificates" / "certificate.pem").exists()


def test_dev_lists_the_commands_that_the_pages_name() -> None:
    """``./dev NAME`` on a page is a command of ``./dev``."""
    bash = shutil.which("bash")
    assert bash is not None
    help_text = subprocess.run([bash, str(ROOT / "dev"), "help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"\./dev (\w+)", help_text)) | {"help"}
    for page in PAGES:
        named = set(re.findall(r"\./dev (\w+)", page.read_text()))
        assert named <= known, f"{name_of(page)}: {named - known}"


def test_sessions_on_the_pages_exist() -> None:
    """A nox session that a page names is one of noxfile.py."""
    noxfile = (ROOT / "noxfile.py").read_text()
    known = set(re.findall(r"^@nox\.session\(.*\)\n(?:@.*\n)*def (\w+)", noxfile, re.M)) - {"format_"}
    known |= set(re.findall(r'name="(\w+)"', noxfile))
    for page in PAGES:
        named = set(re.findall(r'nox -s "?(\w+)', page.read_text())) - {"NAME"}
        assert named <= known, f"{name_of(page)}: {named - known}"
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "testing.md").read_text().partition("## One test")[0], re.M)
    assert set(rows) == known

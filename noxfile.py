"""Every check by name: `./dev nox -l` lists them, `./dev nox -s lint` runs one.

Sessions that need no other Python run in the environment that ./dev made (.venv, editable packages);
those that test wheels make an environment of their own with uv.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

# The sessions without an environment of their own find the tools beside this Python.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = [
    "lint",
    "types",
    "ctest",
    "native",
    "uvloop",
    "bench",
    "gate",
    "browsers",
    "network",
    "qlog",
    "tests",
    "isolation",
    "wheels",
]

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "build"
ENGINE = ROOT / "packages" / "aiopquic-core" / "csrc"
WEBTRANSPORT = ROOT / "packages" / "aiopquic-webtransport" / "csrc"
CONSTRAINTS = ROOT / "constraints.txt"
PACKAGES = ("aiopquic-core", "aiopquic-webtransport", "aiopquic-bench")
PYTHONS = ("3.11", "3.12", "3.13")
# What only the sessions of the same names can run: words of `pytest -m`.
EVERYWHERE = "not native and not release and not browser and not wtpeers and not network and not qlog"
JOBS = str(min(os.cpu_count() or 1, 4))
# One compilation of picoquic serves every build, those from source distributions too.
ENV = {
    "AIOPQUIC_BUILD_CACHE": os.environ.get("AIOPQUIC_BUILD_CACHE", str(ROOT / "third_party" / ".build")),
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_PYTHON_PREFERENCE": "only-system",
}

CTEST_VARIANTS = {
    "release": ["-DCMAKE_BUILD_TYPE=Release"],
    "debug": ["-DCMAKE_BUILD_TYPE=Debug", "-DAIOPQ_THREAD_CHECK=ON"],
    "asan": ["-DCMAKE_BUILD_TYPE=Debug", "-DAIOPQ_THREAD_CHECK=ON", "-DAIOPQ_SANITIZE=address"],
    "tsan": ["-DCMAKE_BUILD_TYPE=Debug", "-DAIOPQ_SANITIZE=thread"],
}


def python_of(session: nox.Session) -> str:
    return str(Path(session.virtualenv.bin) / "python") if session.python else sys.executable


def uv(session: nox.Session, *arguments: str) -> None:
    session.run("uv", *arguments, external=True, silent=False, env=ENV)


def install(session: nox.Session, groups: tuple[str, ...], *wheels: Path) -> None:
    words = [word for group in groups for word in ("--group", group)]
    uv(session, "pip", "install", "--quiet", "--python", python_of(session), "-c", str(CONSTRAINTS),
       *words, *map(str, wheels))  # fmt: skip


def build_wheels(session: nox.Session, packages: tuple[str, ...] = PACKAGES) -> list[Path]:
    """The packages' wheels for the session's Python, as somebody who installs them gets them."""
    folder = BUILD / "wheels" / str(session.python or "default")
    shutil.rmtree(folder, ignore_errors=True)
    for name in packages:
        uv(session, "build", "--quiet", "--wheel", "--python", python_of(session), "--package", name,
           "--build-constraints", str(CONSTRAINTS), "--out-dir", str(folder))  # fmt: skip
    return sorted(folder.glob("*.whl"))


def pytest(session: nox.Session, *arguments: str, seconds: int = 900, **environment: str) -> None:
    """What fails is run again, alone; a hang ends in a print of every thread's stack."""
    session.run(
        python_of(session), "ci/run_tests.py", "--seconds", str(seconds), "pytest", *arguments, *session.posargs,
        external=True, env={**ENV, **environment},
    )  # fmt: skip


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Formats, lints, import contracts, layers, versions, texts."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    cython = sorted(str(p) for p in ROOT.glob("packages/*/src/**/*.p[yx][xd]") if p.suffix != ".pyd")
    session.run("cython-lint", *cython)
    sources = sorted(str(p) for p in ROOT.glob("packages/*/csrc/**/*.[ch]"))
    session.run("clang-format", "--dry-run", "--Werror", *sources)
    for check in ("check_layers", "check_versions", "check_text"):
        session.run("python", f"ci/{check}.py")
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": source_path()})


@nox.session(venv_backend="none", name="format")
def format_(session: nox.Session) -> None:
    """Rewrite the files as `lint` wants them."""
    session.run("ruff", "check", "--fix", "--exit-zero", ".")
    session.run("ruff", "format", ".")
    session.run("clang-format", "-i", *sorted(str(p) for p in ROOT.glob("packages/*/csrc/**/*.[ch]")))


def source_path() -> str:
    return os.pathsep.join(str(ROOT / "packages" / name / "src") for name in PACKAGES)


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Mypy, strict, on the sources; the stubs compared with the compiled modules."""
    session.run("mypy")
    modules = []
    for stub in sorted(ROOT.glob("packages/*/src/**/*.pyi")):
        if stub.with_suffix(".pyx").exists():
            modules.append(".".join(stub.relative_to(ROOT).with_suffix("").parts[3:]))
    if modules:
        allowed = ("--allowlist", "ci/stubtest-allowlist.txt", "--ignore-unused-allowlist")
        session.run("stubtest", *allowed, *modules)


@nox.session(venv_backend="none")
@nox.parametrize("variant", list(CTEST_VARIANTS))
def ctest(session: nox.Session, variant: str) -> None:
    """The C unit tests: release, debug with thread checks, and under the sanitizers."""
    folder = BUILD / "ctests" / variant
    # The engine's tests come with those of the WebTransport extension, which are linked against it.
    session.run("cmake", "-S", str(WEBTRANSPORT), "-B", str(folder), "-G", "Ninja",
                *CTEST_VARIANTS[variant], silent=True, env=ENV)  # fmt: skip
    session.run("cmake", "--build", str(folder))
    session.run("python", "ci/run_tests.py", "--seconds", "900", "ctest", "--test-dir", str(folder),
                "--no-tests=error", "-j", "2", *session.posargs)  # fmt: skip


@nox.session(venv_backend="none")
def dev_tests(session: nox.Session) -> None:
    """Every test against the editable packages of .venv; also tests what is in ci/."""
    pytest(session, "-n", JOBS, "--dist", "worksteal")


@nox.session(venv_backend="none")
def uvloop(session: nox.Session) -> None:
    """The packages' tests on uvloop instead of asyncio's own loop; those that start programs are left out."""
    pytest(session, "-n", JOBS, "--dist", "worksteal", "-m", f"{EVERYWHERE} and not peer and not cli and not slow",
           "--ignore", "packages/aiopquic-core/tests/test_docs.py", "packages/aiopquic-core/tests",
           "packages/aiopquic-webtransport/tests", AIOPQUIC_TEST_LOOP="uvloop")  # fmt: skip


@nox.session(venv_backend="none")
def inline(session: nox.Session) -> None:
    """Core's tests without network threads (driver="inline"); those that are about the thread are left out."""
    pytest(session, "-n", JOBS, "--dist", "worksteal",
           "-m", f"{EVERYWHERE} and not peer and not cli and not slow and not threaded",
           "--ignore", "packages/aiopquic-core/tests/test_docs.py", "packages/aiopquic-core/tests",
           AIOPQUIC_LOOP="inline")  # fmt: skip


@nox.session(venv_backend="none")
def scale(session: nox.Session) -> None:
    """Streams by the million, connections and sessions by the thousand: what is left of them."""
    session.run("python", "ci/run_with_stacks.py", "--seconds", "6000", "--", "python", "-m", "pytest", "-s",
                "--timeout", "3000", "-o", "faulthandler_timeout=0", "packages/aiopquic-core/tests/test_scale.py",
                "packages/aiopquic-webtransport/tests/test_scale.py", *session.posargs,
                env={"AIOPQUIC_SCALE_STREAMS": "1000000", "AIOPQUIC_SCALE_CONNECTIONS": "100000",
                     "AIOPQUIC_SCALE_WT_STREAMS": "1000000", "AIOPQUIC_SCALE_WT_SESSIONS": "10000"})  # fmt: skip


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Every test of the packages against built wheels, for each Python that is here."""
    install(session, ("test", "test-extra", "peers"), *build_wheels(session))
    pytest(session, "-n", JOBS, "--dist", "worksteal", "packages")


@nox.session(python=f"{sys.version_info.major}.{sys.version_info.minor}")
def isolation(session: nox.Session) -> None:
    """Core's wheel alone, without extras and peers: what it promises holds without the others."""
    install(session, ("test",), *build_wheels(session, ("aiopquic-core",)))
    session.run("python", "-c", NOTHING_ELSE)
    pytest(session, "-n", JOBS, "--dist", "worksteal", "-m", f"{EVERYWHERE} and not peer and not cli",
           "packages/aiopquic-core/tests")  # fmt: skip


NOTHING_ELSE = """
import importlib.util
for name in ("aiopquic_webtransport", "aiopquic_bench", "aioquic", "qh3", "typer", "rich"):
    assert importlib.util.find_spec(name) is None, name
import aiopquic
"""


@nox.session(python=f"{sys.version_info.major}.{sys.version_info.minor}")
def wheels(session: nox.Session) -> None:
    """Source distributions, wheels from them, what is in both, and installs from each."""
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    for name in PACKAGES:
        # Without --wheel or --sdist: the wheel is built from the source distribution.
        uv(session, "build", "--quiet", "--python", python_of(session), "--package", name,
           "--build-constraints", str(CONSTRAINTS), "--out-dir", str(dist))  # fmt: skip
    session.run("python", "ci/check_wheel.py", str(dist))
    install(session, (), *sorted(dist.glob("*.whl")))
    session.run("python", "-c", "import aiopquic_bench, aiopquic_webtransport as w; print(w.native_info())")
    session.run("python", "-m", "aiopquic", "versions")
    session.run("aiopquic-bench", "cases", silent=True)

    # Core's own source distribution, by pip, where nothing else is: its sources travel with it.
    empty = Path(session.create_tmp()) / "empty"
    shutil.rmtree(empty, ignore_errors=True)
    uv(session, "venv", "--quiet", "--seed", "--python", python_of(session), str(empty))
    sdist = next(dist.glob("aiopquic_core-*.tar.gz"))
    session.run(str(empty / "bin" / "python"), "-m", "pip", "install", "--quiet", str(sdist),
                external=True, env={**ENV, "PIP_BUILD_CONSTRAINT": str(CONSTRAINTS)})  # fmt: skip
    session.run(str(empty / "bin" / "python"), "-c", "import aiopquic", external=True)


def picoquic_programs(session: nox.Session, folder: Path, *targets: str, demo: bool = False) -> Path:
    """Build programs of picoquic's own its own way, against our picotls; returns its sources."""
    release = BUILD / "native-sources"
    session.run("cmake", "-S", str(ENGINE), "-B", str(release), "-G", "Ninja", "-DAIOPQ_BUILD_TESTS=ON",
                *CTEST_VARIANTS["release"], silent=True, env=ENV)  # fmt: skip
    where = json.loads((release / "third_party.json").read_text())
    parts = ("core", "minicrypto", "openssl", "fusion")
    archives = {part: f"{where['archives']}/libpicotls-{part}.a" for part in parts}
    session.run(
        "cmake", "-S", where["picoquic"], "-B", str(folder), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_POLICY_VERSION_MINIMUM=3.13", f"-DBUILD_DEMO={'ON' if demo else 'OFF'}", "-DBUILD_PQBENCH=OFF",
        "-DBUILD_LOGREADER=OFF", "-DBUILD_PICO_SIM=OFF", "-DWITH_MBEDTLS=OFF", "-DWITH_AEGIS=OFF",
        "-DWITH_IO_URING=OFF",
        f"-DPTLS_INCLUDE_DIR={where['picotls']}/include",
        *(f"-DPTLS_{n.upper()}_LIBRARY={path}" for n, path in archives.items()),
        silent=True,
    )  # fmt: skip
    session.run("cmake", "--build", str(folder), "--target", *targets)
    return Path(where["picoquic"])


@nox.session(venv_backend="none")
def native(session: nox.Session) -> None:
    """picoquic's own test drivers, built its own way against our picotls: how a new pin is judged."""
    folder = BUILD / "native"
    sources = picoquic_programs(session, folder, "picoquic_ct", "picohttp_ct")
    pytest(session, "-m", "native", "packages/aiopquic-core/tests/test_native_picoquic.py", seconds=2000,
           AIOPQUIC_NATIVE_DIR=str(folder), AIOPQUIC_PICOQUIC_SOURCES=str(sources))  # fmt: skip


@nox.session(venv_backend="none")
def picoquicdemo(session: nox.Session) -> None:
    """picoquic's own client and server, with which aiopquic-bench compares: build/picoquicdemo/picoquicdemo."""
    picoquic_programs(session, BUILD / "picoquicdemo", "picoquicdemo", demo=True)


@nox.session(venv_backend="none")
def release(session: nox.Session) -> None:
    """A program for the existing releases of aiopquic, on one of them and on ours, and one at each end."""
    python = shutil.which("python3.12") or shutil.which("python3.13")
    if python is None:
        session.error("the releases need Python 3.12 or 3.13, and there is none")
    folder = BUILD / "release"
    uv(session, "venv", "--quiet", "--clear", "--python", str(python), str(folder))
    uv(session, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "--require-hashes",
       "-r", str(ROOT / "constraints-release.txt"))  # fmt: skip
    pytest(session, "-m", "release", "packages/aiopquic-core/tests/test_legacy_program.py",
           AIOPQUIC_RELEASE_PYTHON=str(folder / "bin" / "python"))  # fmt: skip


@nox.session(venv_backend="none")
def browsers(session: nox.Session) -> None:
    """Pages in Chromium and Firefox, headless, against our WebTransport server; installs both where it may."""
    session.run(sys.executable, "ci/get_browsers.py")
    pytest(session, "-m", "browser", "packages/aiopquic-webtransport/tests/browsers")


def cargo_build(session: nox.Session, sources: Path, folder: Path, program: str) -> Path:
    """Build a Rust program of the tests; returns it."""
    # Without its Cargo.lock: what it depends on is newer than it, and no concern of ours.
    shutil.copytree(sources, folder / "source", dirs_exist_ok=True)
    session.run("cargo", "build", "--quiet", "--manifest-path", str(folder / "source" / "Cargo.toml"),
                "--target-dir", str(folder / "target"), external=True)  # fmt: skip
    return folder / "target" / "debug" / program


@nox.session(venv_backend="none")
def wtpeers(session: nox.Session) -> None:
    """WebTransport against webtransport-go and Rust's wtransport, both roles; builds them (minutes at first)."""
    folder = BUILD / "wtpeers"
    folder.mkdir(parents=True, exist_ok=True)
    sources = ROOT / "packages" / "aiopquic-webtransport" / "tests" / "peers"
    with session.chdir(sources / "go"):
        session.run("go", "build", "-o", str(folder / "go"), ".", external=True)
    shutil.copy(cargo_build(session, sources / "rust", folder, "peer"), folder / "rust")
    pytest(session, "-m", "wtpeers", "packages/aiopquic-webtransport/tests/test_peers.py",
           AIOPQUIC_WT_PEERS=str(folder))  # fmt: skip


@nox.session(venv_backend="none")
def qlog(session: nox.Session) -> None:
    """Our qlog files, converted, before Cloudflare's qlog crate; builds it where there is cargo (a minute at first)."""
    if shutil.which("cargo") is None:
        session.skip("there is no cargo to build the reader with")
    folder = BUILD / "qlog"
    program = cargo_build(session, ROOT / "packages" / "aiopquic-core" / "tests" / "peers" / "qlog-reader", folder,
                          "qlog-reader")  # fmt: skip
    pytest(session, "-m", "qlog", "packages/aiopquic-core/tests/test_qlog_convert.py",
           AIOPQUIC_QLOG_READER=str(program))  # fmt: skip


# Who is no administrator may be one in a namespace of users, where that is permitted.
AS_ROOT_OF_ITSELF = ("unshare", "--user", "--map-root-user", "--net", "--", "sh", "-ec",
                     'ip link set dev lo up; exec "$@"', "sh")  # fmt: skip


@nox.session(venv_backend="none")
def network(session: nox.Session) -> None:
    """Real networks and real tools: processes in namespaces, tshark, ngtcp2's programs; installs them where it may."""
    session.run(sys.executable, "ci/get_network.py")
    alone = () if os.geteuid() == 0 else AS_ROOT_OF_ITSELF
    can = not alone or subprocess.run([*alone, "true"], capture_output=True).returncode == 0
    session.run(*(alone if can else ()), sys.executable, "ci/run_tests.py", "--seconds", "600", "pytest", "-n", JOBS,
                "-m", "network", "packages", *session.posargs, external=True, env=ENV)  # fmt: skip


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Every case of aiopquic-bench once, a moment each, and some connections at once; other words run its commands."""
    for words in [session.posargs] if session.posargs else [("run", "--quick"), ("scale", "--quick")]:
        session.run(sys.executable, "-m", "aiopquic_bench", *words)


@nox.session(venv_backend="none")
def gate(session: nox.Session) -> None:
    """The short form of the performance gate, which measures no time; other words run other forms of it."""
    session.run(sys.executable, "-m", "aiopquic_bench", "gate", *(session.posargs or ("--quick",)))


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """What `./dev demo` shows."""
    session.run(sys.executable, "-m", "aiopquic", "demo", *session.posargs)


@nox.session(venv_backend="none")
def constraints(session: nox.Session) -> None:
    """Write constraints.txt: newest versions of every tool, with the digests of their files."""
    session.run("uv", "pip", "compile", "--quiet", "--upgrade", "--universal", "--python-version", PYTHONS[0],
                "--generate-hashes", "--no-header", "--no-annotate", "--group", "dev", "--group", "peers",
                "--output-file", str(CONSTRAINTS), external=True)  # fmt: skip
    # The newest release of aiopquic that is not ours, for the session release.
    (BUILD / "release.in").write_text("aiopquic==0.6.1\n")
    session.run("uv", "pip", "compile", "--quiet", "--upgrade", "--universal", "--python-version", "3.12",
                "--generate-hashes", "--no-header", "--no-annotate", str(BUILD / "release.in"),
                "--output-file", str(ROOT / "constraints-release.txt"), external=True)  # fmt: skip

"""The extension runs on core's shared library: one libaiopquic.so, one picoquic."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import aiopquic_webtransport
from aiopquic_webtransport import _native
from aiopquic_webtransport._compatibility import check_core


def mapped_files() -> set[str]:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("no /proc/self/maps on this system")
    fields = (line.split(maxsplit=5) for line in maps.read_text().splitlines())
    return {f[5] for f in fields if len(f) == 6}


def test_one_libaiopquic_is_mapped():
    assert len([f for f in mapped_files() if Path(f).name.startswith("libaiopquic")]) == 1


def test_one_mapped_file_holds_picoquic():
    ours = [f for f in mapped_files() if "aiopquic" in f and f.endswith(".so")]
    named = [f for f in ours if defines(f, "picoquic_create")]
    assert len(ours) >= 2
    assert len(named) == 1
    assert Path(named[0]).name == "libaiopquic.so"


def defines(file: str, symbol: str) -> bool:
    """Whether the dynamic loader finds `symbol` in the file itself, not in what it depends on."""
    code = (
        "import ctypes, sys\n"
        "class Info(ctypes.Structure):\n"
        "    _fields_ = [('name', ctypes.c_char_p), ('base', ctypes.c_void_p),\n"
        "                ('symbol', ctypes.c_char_p), ('address', ctypes.c_void_p)]\n"
        "library = ctypes.CDLL(sys.argv[1])\n"
        "info = Info()\n"
        "try:\n"
        "    address = ctypes.cast(getattr(library, sys.argv[2]), ctypes.c_void_p)\n"
        "except AttributeError:\n"
        "    sys.exit()\n"
        "ctypes.CDLL(None).dladdr(address, ctypes.byref(info))\n"
        "print(info.name.decode())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, file, symbol], capture_output=True, text=True, check=True)
    found = done.stdout.strip()
    return bool(found) and Path(found).resolve() == Path(file).resolve()


def test_picowt_writes_what_core_s_picoquic_reads():
    info = aiopquic_webtransport.native_info()
    assert info["datagram_size_max"] > 1200
    assert info["session_gone_code"] == 0x170D7B68
    assert info["picoquic_version"] in ("1.1.53.0",) or info["build_id"].startswith("picoquic own-")


def test_built_for_the_core_that_is_loaded():
    assert _native.built_for() == _native.loaded()
    check_core(_native.built_for(), _native.loaded(), "0.1.0")


@pytest.mark.parametrize(
    ("loaded", "sentence"),
    [
        ((2, "picoquic a"), "it needs ABI 1, and core has ABI 2"),
        ((1, "picoquic b"), "it was built for 'picoquic a', and core is 'picoquic b'"),
    ],
)
def test_another_core_is_refused_with_the_command_that_mends_it(loaded, sentence):
    with pytest.raises(ImportError) as raised:
        check_core((1, "picoquic a"), loaded, "0.1.0")
    assert sentence in str(raised.value)
    assert "pip install --force-reinstall 'aiopquic-core[webtransport]==0.1.0'" in str(raised.value)


def test_import_refuses_another_core():
    code = (
        "import sys, types\n"
        "import aiopquic\n"
        "fake = types.ModuleType('aiopquic_webtransport._native')\n"
        "fake.built_for = lambda: (1, 'picoquic a')\n"
        "fake.loaded = lambda: (1, 'picoquic b')\n"
        "fake.native_info = dict\n"
        "sys.modules['aiopquic_webtransport._native'] = fake\n"
        "import aiopquic_webtransport\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ImportError: aiopquic_webtransport 0.1.0 does not fit" in done.stderr


def test_version_is_the_distributions():
    assert aiopquic_webtransport.__version__ == version("aiopquic-webtransport")
    assert version("aiopquic-core") == version("aiopquic-webtransport")


def test_the_protocol_is_one_object():
    """Settings of engines with it are equal then, and clients share an engine."""
    assert _native.protocol() is _native.protocol()

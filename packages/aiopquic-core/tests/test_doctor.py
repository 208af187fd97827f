"""What slows QUIC down is found, and said with what mends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from aiopquic import doctor
from aiopquic.doctor import Finding


def refuse() -> None:
    raise OSError(92, "Protocol not available")


#: What was found, whether that is good, and words of the text and of what mends it.
FINDINGS: dict[str, tuple[Finding, bool, str, str]] = {
    "buffer": (doctor.buffer_finding("receive", "rmem_max", 4 << 20), True, "4096 KiB", ""),
    "small buffer": (
        doctor.buffer_finding("send", "wmem_max", 212992),
        False,
        "208 KiB of the 4096 KiB",
        "sudo sysctl -w net.core.wmem_max=4194304" if sys.platform == "linux" else "",
    ),
    "GSO": (doctor.offload_finding("UDP GSO", lambda: None), True, "there", ""),
    "no GSO": (doctor.offload_finding("UDP GSO", refuse), False, "not there (Protocol not available)", "Linux kernel"),
    "AES": (doctor.cipher_finding("flags\t\t: fpu aes avx2\n"), True, "with AVX2", ""),
    "AES of ARM": (doctor.cipher_finding("Features\t: fp asimd aes pmull\n"), True, "in the processor", ""),
    "no AES": (doctor.cipher_finding("flags: fpu sse\n"), False, "ChaCha20-Poly1305", "cipher_suite=0x1303"),
    "release": (doctor.build_finding("picoquic 1 picotls 2 DISABLE_DEBUG_PRINTF,X=0"), True, "release", ""),
    "debug": (doctor.build_finding("picoquic 1 picotls 2 X=0"), False, "prints what it does", "pip install"),
    "checks": (
        doctor.build_finding("picoquic 1 picotls 2 DISABLE_DEBUG_PRINTF,PICOQUIC_THREAD_CHECK"),
        False,
        "PICOQUIC_THREAD_CHECK",
        "pip install",
    ),
    "portable loop": (doctor.loop_finding("portable"), False, "AIOPQUIC_LOOP=portable", "unset AIOPQUIC_LOOP"),
    "left out": (doctor.left_out_finding("gso,gro"), False, "gso,gro", "unset AIOPQUIC_WITHOUT"),
    "asyncio's debug mode": (doctor.debug_finding(True, False), False, "debug mode", "unset PYTHONASYNCIODEBUG"),
    "a debug Python": (doctor.debug_finding(False, True), False, "Py_DEBUG", "--with-pydebug"),
    "Python": (doctor.debug_finding(False, False), True, "Python", ""),
    "bbr": (doctor.control_finding("bbr"), False, "128 microseconds", "bbr1"),
    "bbr1": (doctor.control_finding("bbr1"), True, "bbr1", ""),
    "no name": (doctor.control_finding(None), True, "newreno", ""),
    "one core": (doctor.cores_finding(1), False, "take turns", "taskset"),
    "cores": (doctor.cores_finding(8), True, "8 for this process", ""),
}


@pytest.mark.parametrize("case", FINDINGS)
def test_finding(case: str):
    """Good or not, in words; what is not good says what mends it."""
    finding, is_good, text, mend = FINDINGS[case]
    assert finding.is_good == is_good
    assert text in finding.text
    assert mend in finding.mend
    assert not (is_good and finding.mend)


def test_everything_is_looked_at():
    """On whatever host this runs."""
    looked_at = [finding.what for finding in doctor.examine()]
    assert {"receive buffer", "send buffer", "UDP GSO", "UDP GRO", "build", "packet loop", "Python", "cores"} <= {
        *looked_at
    }
    assert len(set(looked_at)) == len(looked_at)


def test_command():
    """Text, or JSON; the exit code says whether something is slow. No extra is needed."""
    environment = {**os.environ, "AIOPQUIC_LOOP": "portable"}
    command = [sys.executable, "-m", "aiopquic", "doctor"]
    told = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (told.returncode, told.stderr) == (1, "")
    assert "SLOW  packet loop: " in told.stdout
    assert "mend it: unset AIOPQUIC_LOOP" in told.stdout
    told = subprocess.run([*command, "--json"], capture_output=True, text=True, env=environment, check=False)
    [found] = [one for one in json.loads(told.stdout) if one["what"] == "packet loop"]
    assert found == {"what": "packet loop", "is_good": False, "text": found["text"], "mend": "unset AIOPQUIC_LOOP"}


def test_unknown_argument(capsys: pytest.CaptureFixture[str]):
    assert doctor.main(["--yaml"]) == 2
    assert "there is --json" in capsys.readouterr().err

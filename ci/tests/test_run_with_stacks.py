import subprocess
import sys
from pathlib import Path

SCRIPT = str(Path(__file__).resolve().parent.parent / "run_with_stacks.py")


def run(seconds, code):
    return subprocess.run(
        [sys.executable, SCRIPT, "--seconds", str(seconds), "--", sys.executable, "-c", code],
        capture_output=True,
        text=True,
    )


def test_exit_code_is_the_commands():
    assert run(60, "raise SystemExit(3)").returncode == 3


def test_hang_is_ended_and_shows_where_it_stood():
    done = run(1, "import time\ndef stuck():\n    time.sleep(300)\nstuck()")
    assert done.returncode == 124
    assert "still running after 1 s" in done.stderr
    assert "in stuck" in done.stderr


def test_ctrl_c_reaches_what_was_started_in_the_background():
    """A shell without job control has it ignored there."""
    code = "import signal; raise SystemExit(signal.getsignal(signal.SIGINT) is not signal.default_int_handler)"
    words = [sys.executable, SCRIPT, "--", sys.executable, "-c", code]
    background = subprocess.run(["sh", "-c", '"$@" & wait $!', "sh", *words])
    assert background.returncode == 0

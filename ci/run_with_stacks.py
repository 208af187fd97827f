"""Run a command with a time limit; when it is reached, print where every process of it stands.

    python ci/run_with_stacks.py --seconds 600 -- pytest -q

Python threads are shown by faulthandler (each Python started here dumps them on SIGABRT), C threads by
gdb where it is installed. The exit code is the command's, or 124 after the limit.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path


def children(pid: int) -> list[int]:
    """The process and what it started, parents first; Linux only, elsewhere the process alone."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def show_stacks(pid: int) -> None:
    processes = children(pid)
    gdb = shutil.which("gdb")
    for process in processes:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            print(f"\n--- process {process}: {words[:200]}", file=sys.stderr, flush=True)
        if gdb:
            command = [gdb, "-batch", "-p", str(process), "-ex", "thread apply all backtrace 40"]
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(command, stdout=sys.stderr, stderr=subprocess.DEVNULL, timeout=60)
        else:
            kernel_view(process)
    for process in reversed(processes[1:] or processes):
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGABRT)
    time.sleep(2)


def kernel_view(pid: int) -> None:
    """Without gdb: each thread's name and what it waits for in the kernel."""
    with contextlib.suppress(OSError):
        for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
            name = (task / "comm").read_text().strip()
            waits = (task / "wchan").read_text().strip()
            print(f"  thread {task.name} {name}: {waits or 'running'}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    command = [word for i, word in enumerate(options.command) if word != "--" or i]
    # What a shell starts in the background ignores Ctrl-C, and so does all that it starts: tests send it.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    env = dict(os.environ, PYTHONFAULTHANDLER="1")
    process = subprocess.Popen(command, env=env, start_new_session=True)
    try:
        return process.wait(options.seconds)
    except subprocess.TimeoutExpired:
        print(f"\nstill running after {options.seconds:g} s: {' '.join(command)}", file=sys.stderr, flush=True)
        show_stacks(process.pid)
        return 124
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())

"""pytest that also writes what failed, as lines of JSON: python ci/pytest_failures.py FILE ARGUMENT..."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest


class Failures:
    """Takes the reports where all of them arrive: in this process, also when xdist's workers run the tests."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            parts = [report.longreprtext, *(f"--- {title}\n{content}" for title, content in report.sections)]
            with self.path.open("a") as file:
                file.write(json.dumps({"name": report.nodeid, "output": "\n".join(parts)}) + "\n")


if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # as `python -m pytest` has it
    sys.exit(pytest.main(sys.argv[2:], plugins=[Failures(sys.argv[1])]))

"""A certificate, and jobs of a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiopquic.testing.certificates import dev_certificate
from aiopquic_bench.cases import CASES
from aiopquic_bench.job import Job

MakeJob = Callable[..., Job]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("certificates")
    dev_certificate().write(folder)
    return str(folder)


@pytest.fixture
def make_job(certificates: str) -> MakeJob:
    """A job for a case, in one process unless it says otherwise."""

    def make(case: str, **settings: Any) -> Job:
        values = {
            "certificates": certificates,
            "size": CASES[case].sizes[-1],
            "duration": 0.1,
            "warm_up": 0.02,
            "is_one_process": True,
        }
        return Job(case=case, **{**values, **settings})

    return make

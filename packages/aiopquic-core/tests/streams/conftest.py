"""The endpoints of the streams API's tests; the rest is in the conftest above."""

from __future__ import annotations

import pytest

from ..certificates import Certificates
from .support import Ends


@pytest.fixture
def ends(certificates: Certificates) -> Ends:
    return Ends(certificates)

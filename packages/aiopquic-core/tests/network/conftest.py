"""Networks for the tests, or a word why there can be none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from ..certificates import Certificates
from .hosts import Network, forbidden, network

#: Makes a network; its arguments are the client's links.
Making = Callable[..., AbstractAsyncContextManager[Network]]


@pytest.fixture
def making(certificates: Certificates) -> Making:
    if reason := forbidden():
        pytest.skip(f"no network namespaces can be made here: {reason}")
    return partial(network, certificates.good.cert, certificates.good.key)

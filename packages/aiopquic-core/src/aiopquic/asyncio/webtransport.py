"""WebTransport in the shape of earlier releases, from the package ``aiopquic-webtransport``.

``aiopquic_webtransport`` itself is the API that new programs use. Without that package the import says which extra to
install.
"""

from __future__ import annotations

import importlib
from typing import Any

try:
    importlib.import_module("aiopquic_webtransport")
except ModuleNotFoundError as error:
    if error.name != "aiopquic_webtransport":
        raise
    raise ImportError(
        "WebTransport is a package of its own: pip install 'aiopquic-core[webtransport]'",
        name="aiopquic_webtransport",
    ) from None

_package = importlib.import_module("aiopquic_webtransport.compat")


def __getattr__(name: str) -> Any:
    return getattr(_package, name)


def __dir__() -> list[str]:
    return dir(_package)

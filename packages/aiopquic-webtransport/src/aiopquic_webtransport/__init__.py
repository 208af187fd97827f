"""WebTransport over aiopquic."""

# Core first: it loads libaiopquic.so, in which the extension finds picoquic.
import aiopquic as _core  # noqa: F401
from aiopquic_webtransport import _native
from aiopquic_webtransport._compatibility import check_core
from aiopquic_webtransport._native import native_info
from aiopquic_webtransport._version import __version__

check_core(_native.built_for(), _native.loaded(), __version__)

__all__ = ["__version__", "native_info"]

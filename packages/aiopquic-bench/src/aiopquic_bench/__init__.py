"""Measurements of aiopquic."""

from aiopquic_bench._version import __version__

__all__ = ["__version__"]

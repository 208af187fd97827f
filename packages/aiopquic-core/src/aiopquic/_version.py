"""The version, in lock step over the three distributions."""

__version__ = "0.1.0"

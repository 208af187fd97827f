"""Helpers for tests and for development. Nothing of aiopquic itself needs them."""

"""The libraries that can be measured, one module each."""

from __future__ import annotations

import importlib

from .shape import Job, Library

__all__ = ["library_of"]


def library_of(job: Job) -> Library:
    """The library that the job names."""
    made: Library = importlib.import_module(f".{job.adapter}", __package__).library(job)
    return made

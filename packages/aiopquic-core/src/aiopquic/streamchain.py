"""A parser's view of bytes that arrive in pieces, and MoQT's objects in a subgroup. docs/buffers.md tells how."""

from __future__ import annotations

from aiopquic._binding._streamchain import StreamChain, encode_object_subgroup, encode_object_subgroup_vi64
from aiopquic.exceptions import StreamUnderflow

__all__ = ["StreamChain", "StreamUnderflow", "encode_object_subgroup", "encode_object_subgroup_vi64"]

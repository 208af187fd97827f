from collections.abc import Iterable
from typing import TextIO
from weakref import WeakSet

from aiopquic._binding._engine import Engine
from aiopquic._binding._transport import TransportContext
from aiopquic._binding._transport_facts import TransportFacts
from aiopquic._binding._transport_sink import Events

transports: WeakSet[TransportContext]

def counters_of(engine: Engine | None, events: Events, sends: dict[str, int]) -> dict[str, int]: ...
def queued_bytes(engine: Engine | None) -> int: ...
def tx_data_bytes_queued() -> int: ...
def write_counters(
    transport: TransportFacts,
    file: TextIO | None,
    label: str | None,
    stream_ctxs: Iterable[int],
    cnx_ptrs: Iterable[int],
) -> None: ...
def dump_all_counters(file: TextIO | None = None) -> None: ...

import sys
from typing import final

@final
class StreamChunk:
    def __init__(self, *args: object, **kwargs: object) -> None: ...  # raises: made by the library only
    def __len__(self) -> int: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

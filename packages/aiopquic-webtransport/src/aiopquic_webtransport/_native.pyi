from typing import TypedDict, type_check_only

@type_check_only
class NativeInfo(TypedDict):
    picoquic_version: str
    build_id: str
    session_gone_code: int
    datagram_size_max: int

def built_for() -> tuple[int, str]: ...
def loaded() -> tuple[int, str]: ...
def native_info() -> NativeInfo: ...

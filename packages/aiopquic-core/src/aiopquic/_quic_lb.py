"""Connection ids by which a load balancer finds its server (draft-ietf-quic-load-balancers)."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiopquic._records import Record
from aiopquic.exceptions import ConfigurationError

__all__ = ["QuicLbSettings", "validate_quic_lb"]

_ROTATION_MAX = 6
_SERVER_ID_MAX = 15
_NONCE_MIN = 4
_SUM_MAX = 19
_KEY_LENGTH = 16


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False, eq=False)
class QuicLbSettings(Record):
    """What the load balancer and its servers agree on, and the one thing that differs: the id of this server.

    Every connection id of the server then is one octet, the server id and the nonce; with a key the latter two are
    encrypted by AES-128, in one pass when they are 16 bytes, else in four.

    Raises:
        ConfigurationError: a value that can't be, with what would be right.
    """

    server_id: bytes
    "1 to 15 bytes, as many for every server of the load balancer."
    config_rotation: int
    "0 to 6: which of the load balancer's configurations this is."
    nonce_length: int
    "At least 4 bytes; with the server id 19 at most. With a key no nonce comes twice before all were used."
    key: bytes | None = field(repr=False)
    "16 bytes that only the load balancer and its servers know; None sends server ids in the clear."
    encodes_length: bool
    "True: the first octet has the length of the id, for load balancers that ask for it; False: random bits."

    def __init__(
        self,
        *,
        server_id: bytes,
        config_rotation: int = 0,
        nonce_length: int = 4,
        key: bytes | None = None,
        encodes_length: bool = False,
    ) -> None:
        self._assign(
            server_id=server_id,
            config_rotation=config_rotation,
            nonce_length=nonce_length,
            key=key,
            encodes_length=encodes_length,
        )
        self._validate()

    def __hash__(self) -> int:
        return hash(self._values())

    def _validate(self) -> None:
        if not isinstance(self.server_id, bytes) or not 1 <= len(self.server_id) <= _SERVER_ID_MAX:
            raise ConfigurationError(f"server_id of quic_lb is 1 to {_SERVER_ID_MAX} bytes, not {self.server_id!r}")
        _require("config_rotation", self.config_rotation, 0, _ROTATION_MAX)
        _require("nonce_length", self.nonce_length, _NONCE_MIN, _SUM_MAX - len(self.server_id))
        if self.key is not None and (not isinstance(self.key, bytes) or len(self.key) != _KEY_LENGTH):
            raise ConfigurationError(f"key of quic_lb is {_KEY_LENGTH} bytes, the load balancer's, or None")
        if not isinstance(self.encodes_length, bool):
            raise ConfigurationError(f"encodes_length of quic_lb is True or False, not {self.encodes_length!r}")

    @property
    def connection_id_length(self) -> int:
        """Bytes of the connection ids: 6 to 20."""
        return 1 + len(self.server_id) + self.nonce_length


def validate_quic_lb(settings: object, is_client: bool) -> None:
    """Raise ConfigurationError unless a configuration can have that as its ``quic_lb``."""
    if settings is None:
        return
    if not isinstance(settings, QuicLbSettings):
        raise ConfigurationError(
            f'quic_lb is QuicLbSettings(server_id=b"...") and what else the load balancer asks for, or None, not '
            f"{settings!r}"
        )
    if is_client:
        raise ConfigurationError("quic_lb is for servers: load balancers stand in front of them")


def _require(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigurationError(f"{name} of quic_lb is {low} to {high} here, not {value!r}")

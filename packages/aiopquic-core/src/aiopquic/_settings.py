"""Every setting of an engine, as the bridge hands it to C. Connections that have equal ones can share an engine.

Made and checked by ``aiopquic.quic._engine_settings``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, dataclass_transform

if TYPE_CHECKING:
    from aiopquic._binding._network import Network
    from aiopquic._binding._workers import Workers
    from aiopquic._quic_lb import QuicLbSettings
    from aiopquic._tickets import SessionStore

__all__ = ["EngineSettings"]

#: What is not one engine's for all of its connections: read when it is made, or said for each of them.
_NOT_SHARED_BY = frozenset({"session_tickets", "alpn"})


@dataclass_transform(kw_only_default=True, frozen_default=True)
class _Settings:
    """Named values, checked like those of a dataclass; ``dataclass`` itself would compile methods for them, in 2 ms.

    Defaults are attributes of the class, what was given of the object. No repr: it would show the keys.
    """

    def __init__(self, **given: Any) -> None:
        names = type(self).__annotations__
        if unknown := given.keys() - names.keys():
            raise TypeError(f"there is no setting {', '.join(sorted(unknown))}")
        if missing := [name for name in names if name not in given and not hasattr(type(self), name)]:
            raise TypeError(f"settings need {', '.join(missing)}")
        vars(self).update(given)

    def replaced(self, **changes: Any) -> Self:
        """The same with other values for some names."""
        return type(self)(**{**vars(self), **changes})


class EngineSettings(_Settings):
    """One engine's settings: times in the units of their names, sizes in bytes."""

    is_client: bool
    always_retry: bool = False
    "Server: every client proves its address before it is accepted."
    holds_incoming: bool = False
    "Server: each client waits for an answer to ``EngineSink.connection_incoming``."
    protocols: tuple[object, ...] = ()
    "Capsules: the halves of application protocols that run on the network thread."
    network: Network | None = None
    "The simulated network to live on; None: the host's."
    bind_addresses: tuple[str, ...] = ()
    "IP literals to bind, at most one per family; empty binds the wildcard addresses of both."
    local_port: int = 0
    preferred_addresses: tuple[tuple[str, int], ...] = ()
    "Server: IP literals and ports where clients are asked to move to, at most one per family."
    socket_buffer_bytes: int = 0
    spin_us: int = 200
    use_portable_loop: bool = False
    is_inline: bool = False
    "No network thread: drains move the datagrams."
    use_pipe_waker: bool = False
    without: frozenset[str] = frozenset()
    "Of our packet loop, what it does without: names of ``_driver.CAN_BE_LEFT_OUT``."
    workers: Workers | None = None
    "Server: the sockets that it shares with others; ``max_connections`` counts for all of them."
    worker: int = 0
    "Its number among them."
    alpn: tuple[str, ...] = ()
    certificate_chain: bytes = b""
    "PEM, or DER; empty for none."
    private_key: bytes = b""
    "PEM, or DER."
    private_key_password: bytes | None = None
    certificates: tuple[tuple[str, bytes, bytes, bytes | None], ...] = ()
    "Server: others with names, each with its chain, key and password."
    trusted_roots: tuple[bytes, ...] = ()
    "DER."
    verify_peer: bool = True
    "A server with it asks its clients for a certificate."
    is_peer_certificate_optional: bool = False
    certificate_hashes: tuple[bytes, ...] = ()
    "Client: a server with one of them is accepted whatever its chain is; ``verify_peer`` is False then."
    pinned_keys: tuple[bytes, ...] = ()
    "Client: a server's certificate has one of these keys, whatever else is verified."
    stateless_reset_secret: bytes = b""
    "16 bytes, or none for a random one."
    session_ticket_key: bytes = b""
    "Server: 32 bytes, or none for a random one."
    keylog_file: str | None = None
    qlog_dir: str | None = None
    congestion_control: str | None = None
    congestion_options: str | None = None
    max_congestion_window: int = 0
    offers_ack_frequency: bool = True
    shows_spin_bit: bool = True
    connection_id_length: int = 0
    quic_lb: QuicLbSettings | None = None
    cipher_suite: int = 0
    key_exchange_groups: tuple[int, ...] = ()
    key_update_interval: int = 0
    version: int = 0
    desired_version: int = 0
    pmtud: str = "basic"
    session_ticket_file: str | None = None
    session_store: SessionStore | None = None
    "Client: in place of a file."
    session_tickets: bytes = b""
    "What either holds; read when the engine is made."
    accepts_early_data: bool = False
    ech_keys: tuple[tuple[bytes, bytes], ...] = ()
    "Server: ECHConfigLists of one configuration, each with its private key as DER."
    uses_ech: bool = False
    "Client: its ClientHellos are encrypted, or look so."
    ech_configs: bytes = b""
    "Client: the server's ECHConfigList, with one configuration; empty for GREASE."
    ech_public_name: str | None = None
    "Client: the name in it."
    max_connections: int = 256
    half_open_limit: int = 64
    "Server: handshakes under way before new clients must prove their address."
    idle_timeout_ms: int = 30_000
    handshake_timeout_us: int = 0
    keep_alive_us: int = 0
    max_data: int = 1 << 24
    max_stream_data: int = 1 << 24
    initial_stream_window: int = 1 << 16
    max_streams_bidi: int = 512
    max_paths: int = 1
    max_streams_uni: int = 512
    max_datagram_frame_size: int = 0
    datagram_queue_bytes: int = 1 << 16
    datagram_receive_bytes: int = 1 << 18
    "What a UDP socket of Linux holds by default (208 KiB), rounded up: who copes with that one copes with this."
    datagram_max_payload: int = 0
    datagram_priority: int = 9
    "0: what the peer and the path take."
    send_budget_stream: int = 1 << 22
    send_budget_conn: int = 1 << 22
    command_capacity: int = 0

    def sharing_key(self) -> tuple[object, ...]:
        """Equal for connections that can live on one engine."""
        return tuple([getattr(self, name) for name in EngineSettings.__annotations__ if name not in _NOT_SHARED_BY])

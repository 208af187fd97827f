"""The settings of a client or a server."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from aiopquic._addresses import packed_address
from aiopquic._binding._engine import is_congestion_control, key_exchange_groups
from aiopquic._driver import runs_inline
from aiopquic._files import StrPath
from aiopquic._quic_lb import QuicLbSettings, validate_quic_lb
from aiopquic._records import Record
from aiopquic._tickets import SessionStore
from aiopquic.exceptions import ConfigurationError
from aiopquic.quic._identities import NamedCertificates, server_name_of
from aiopquic.quic._numbers import validate_numbers
from aiopquic.quic.ech import EchKey, validate_ech

__all__ = [
    "CIPHER_SUITES",
    "QUIC_V1",
    "QUIC_V2",
    "QuicConfiguration",
    "QuicLbSettings",
    "available_key_exchange_groups",
]

QUIC_V1 = 0x00000001
"RFC 9000."
QUIC_V2 = 0x6B3343CF
"RFC 9369."
CIPHER_SUITES = (0x1301, 0x1302, 0x1303)
"TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256."

#: A picotls server, ours too, reads this many names of a client's list and passes over the rest.
_MAX_ALPN_OFFERED = 16
_MAX_ALPN_ACCEPTED = 31

_PATHS = (
    "cafile",
    "capath",
    "secrets_log_file",
    "qlog_dir",
    "session_ticket_file",
)

_PMTUD = ("basic", "delayed", "blocked")

#: What picoquic reads of a controller's options; it stops at nothing that it does not know.
_CONGESTION_OPTIONS = r"(?=.)(T\d{1,9})?(Q\d{1,3}(\.\d{1,6})?)?"

#: ``verify_mode`` values: asked for by name, or by the constants of ``ssl``.
_VERIFY_MODES = (None, ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED)


def available_key_exchange_groups() -> tuple[int, ...]:
    """The groups that there are, by their IANA numbers, in the order of the default: classic ones first.

    0x001d is X25519, 0x0017 secp256r1; hybrids with ML-KEM, such as 0x11ec, X25519MLKEM768, need OpenSSL 3.5.
    """
    return key_exchange_groups()


@dataclass(repr=False, eq=False)
class QuicConfiguration(Record):
    """Settings of one client connection or of one server.

    Checked when an object is made and again when a connection or a server is; a setting that can't be raises
    :class:`~aiopquic.exceptions.ConfigurationError` before any packet is sent.
    """

    alpn_protocols: Sequence[str] | None = None
    "Application protocols: offered in this order by a client, preferred in this order by a server."
    idle_timeout: float = 30.0
    "Seconds without a packet before the connection ends (RFC 9000 section 10.1). The smaller of both sides' counts."
    keep_alive_interval: float | None = None
    "Seconds between PINGs that keep an idle connection open; None sends none."
    socket_buffer_size: int | None = None
    "Bytes asked of the system for each UDP socket buffer; None asks for 4 MiB."
    is_client: bool = True
    "False for a server."
    max_data: int = 1 << 24
    "Bytes that the peer may send ahead of the application, over all streams of a connection."
    max_stream_data: int = 1 << 24
    "Bytes that the peer may send ahead on one stream, once its reader has shown to be fast."
    max_datagram_frame_size: int | None = 65535
    "Bytes of the largest DATAGRAM frame that the peer may send (RFC 9221 section 3); None or 0 takes none."
    server_name: str | None = None
    "Client: the name for SNI, and that the certificate must carry; None takes the host that is connected to."
    certificate_file: StrPath | bytes | None = None
    """The certificate chain, one's own first: a file, or its content as bytes; PEM or DER. A client presents it to
    servers that ask."""
    private_key_file: StrPath | bytes | None = None
    "The private key in the same ways."
    certificates: NamedCertificates | None = None
    """Server: other certificates by the name that clients ask for, such as {"a.example": ("a.pem", "a.key"),
    "*.b.example": ("b.pem", "b.key", password)}. Whoever asks for no such name gets the one of certificate_file, or,
    if there is none, is refused (unrecognized_name)."""
    private_key_password: str | bytes | None = None
    "Decrypts the private key."
    verify_mode: int | None = None
    """Client: None, ssl.CERT_OPTIONAL or ssl.CERT_REQUIRED verify the server's certificate and name; ssl.CERT_NONE
    accepts anything. Server: ssl.CERT_REQUIRED asks clients for a certificate and verifies it, ssl.CERT_OPTIONAL
    also accepts clients without one; None and ssl.CERT_NONE ask for none."""
    cafile: StrPath | None = None
    "A PEM file of trusted certificates; a client with no trust setting at all trusts those of certifi."
    capath: StrPath | None = None
    "A folder of PEM files with trusted certificates."
    cadata: str | bytes | None = None
    "Trusted certificates as PEM text or DER bytes."
    server_certificate_hashes: Sequence[bytes] | None = None
    """Client: SHA-256 hashes of certificates (their DER). One of them is accepted whoever issued it and whatever its
    name, if it is valid now, for 14 days at most in all, and has no RSA key, as browsers do; any other is refused."""
    pinned_keys: Sequence[bytes] | None = None
    """Client: SHA-256 hashes of public keys (SubjectPublicKeyInfo). The server's certificate must have one of them, and
    pass whatever else is verified: with verify_mode=ssl.CERT_NONE nothing else."""
    key_exchange_groups: Sequence[int] | None = None
    "IANA numbers, the preferred first, of :func:`available_key_exchange_groups`. None: all, classic groups first."
    stateless_reset_secret: bytes | None = None
    "Server: 16 bytes; with those of its predecessor a restarted server ends the connections lost (RFC 9000 10.3)."
    session_ticket_key: bytes | None = None
    """Server: 32 random bytes that seal session tickets and address tokens; processes with the same ones, or the one
    after a restart, take each other's. Whoever has them can read the first data of resumed sessions."""
    secrets_log_file: StrPath | None = None
    "Writes TLS secrets for Wireshark (NSS key log format). None: SSLKEYLOGFILE of the environment, if set."
    qlog_dir: StrPath | None = None
    "An existing folder that gets one qlog file per connection. None: AIOPQUIC_QLOG_DIR of the environment, if set."
    congestion_control_algorithm: str | None = "bbr1"
    "newreno, reno, cubic, dcubic, fast, bbr, bbr1, prague or c4. None: newreno."
    driver: str = "thread"
    """``"thread"``: a network thread of its own, for throughput. ``"inline"``: the asyncio loop moves the datagrams
    itself, for the lowest latency of small messages and for many idle connections; Linux only."""
    spin_time: float = 200e-6
    """Seconds at most that the network thread looks for more work before it sleeps. It learns how long pays, which is
    nothing for an idle one; 0 has it sleep at once: more latency, and less CPU where packets come in between."""
    congestion_control_options: str | None = None
    """For bbr and bbr1: "T" and microseconds, the round-trip time behind a Wi-Fi that is suspended at times; "Q" and
    a number, the quantum ratio; "T100000Q2.5" is both."""
    max_congestion_window: int | None = None
    "Bytes that may be in flight on a path whatever the controller thinks, which bounds their memory. None: no limit."
    ack_frequency: bool = True
    "Have the peer acknowledge less often where that pays (draft-ietf-quic-ack-frequency), and do so for it."
    spin_bit: bool = True
    "Let observers of the path measure round trips, on most connections (RFC 9000 section 17.4)."
    connection_id_length: int = 8
    "Bytes of this side's connection ids, 4 to 20."
    quic_lb: QuicLbSettings | None = None
    """Server: connection ids that tell a load balancer their server (draft-ietf-quic-load-balancers). They are as long
    as these settings make them, whatever ``connection_id_length`` is."""
    handshake_timeout: float = 10.0
    "Seconds a handshake may take; for connect(), from the look-up of the name on, over all addresses."
    connection_attempt_delay: float = 0.25
    "Client: seconds until the next address of a host is tried while the ones before have not answered (RFC 8305)."
    stream_ring_cap: int = 1 << 22
    "Bytes that may wait to be sent on one stream."
    max_streams_uni: int = 512
    "Unidirectional streams of the peer that may be open at once."
    max_streams_bidi: int = 512
    "Bidirectional streams of the peer that may be open at once."
    tx_max_queued_bytes: int | None = 1 << 24
    """Bytes that may wait to be sent on one connection, over all streams; None or 0: no limit beyond each stream's.

    Up to 64 KiB a stream may hold whatever the others hold: streams that can't be sent don't keep others from it."""
    max_paths: int = 1
    "Paths that a connection may have at once, 1 to 8; 2 or more offers multipath (draft-ietf-quic-multipath)."
    preferred_addresses: Sequence[tuple[str, int]] | None = None
    """Server: an IPv4 address and a port, or that and an IPv6 address with the same port, where clients are asked to go
    on after the handshake (RFC 9000 section 9.6); the server listens there, too."""
    max_connections: int = 256
    "Server: connections that may be open at once, over all its workers; more are refused."
    half_open_limit: int = 64
    "Server: handshakes that may be under way, at each worker, before new clients must prove their address by a Retry."
    cipher_suite: int | None = None
    "One of CIPHER_SUITES, to allow only that one."
    key_update_interval: int | None = None
    "Packets sent before the keys are changed (RFC 9001 section 6). None: 4 million."
    supported_versions: list[int] | None = None
    "Client: QUIC_V1 and QUIC_V2 in the order of preference; servers accept both. None: version 1."
    session_ticket_file: StrPath | None = None
    """Client: a file that keeps session tickets, for shorter handshakes and 0-RTT (RFC 8446 section 2.2), and address
    tokens (RFC 9000 section 8.1.3). Tickets are used where one application protocol alone is offered."""
    session_store: SessionStore | None = None
    "Client: the same in memory: a SessionStore that connections share. Without either, address tokens alone are kept."
    ech_config: bytes | str | None = None
    """Client: the server's ECHConfigList, as bytes or base64, to hide the name that is asked for (RFC 9849). Such a
    connection resumes no session."""
    ech_grease: bool = False
    "Client: look as if the name was hidden, so that nobody can tell whose is."
    ech_keys: Sequence[EchKey] | None = None
    "Server: the keys for its ECHConfigs, the one that new clients should use first."
    early_data: bool = False
    "Server: accept 0-RTT data, which an attacker can replay (RFC 9001 section 9.2)."
    pmtud: str = "basic"
    'When larger packets are tried: "basic" at once, "delayed" when much is to be sent, "blocked" never.'
    event_ring_capacity: int | None = None
    "Commands that may wait for the network thread; more raise BufferError. None: no limit."
    ip_family: int | None = None
    "socket.AF_INET or socket.AF_INET6 to use only that family."
    datagram_ring_bytes: int = 1 << 16
    "Bytes of datagrams that may wait to be sent on one connection; each counts up to 24 more than it has."
    datagram_priority: int = 9
    "Among the streams of the connection: 0 is sent first, 255 last; streams have 9 unless they are given another."
    datagram_max_payload: int | None = 1200
    "Bytes of the largest datagram to send, so that it is the same on almost every path. None: what peer and path take."
    initial_stream_window: int = 1 << 16
    "Bytes that the peer may send on a fresh stream; it grows towards max_stream_data as the reader keeps up."

    def __post_init__(self) -> None:
        self.validate()

    def load_cert_chain(
        self, certfile: StrPath | bytes, keyfile: StrPath | bytes | None = None, password: str | bytes | None = None
    ) -> None:
        """Use this certificate chain, and the private key of ``keyfile`` or of the same file."""
        self.certificate_file = certfile
        self.private_key_file = keyfile if keyfile is not None else certfile
        self.private_key_password = password

    def load_verify_locations(
        self,
        cafile: StrPath | None = None,
        capath: StrPath | None = None,
        cadata: str | bytes | None = None,
    ) -> None:
        """Trust these certificates and no others."""
        if cafile is None and capath is None and cadata is None:
            raise ConfigurationError("load_verify_locations() needs cafile, capath or cadata")
        self.cafile, self.capath, self.cadata = cafile, capath, cadata

    @property
    def verify_peer(self) -> bool:
        """True when the peer's certificate is verified: a server's, and its name, or a client's."""
        if self.is_client:
            return self.verify_mode is None or self.verify_mode != ssl.CERT_NONE
        return self.verify_mode in (ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED)

    @property
    def desired_version(self) -> int:
        """The version that a client prefers to version 1, 0 for none."""
        first = self.supported_versions[0] if self.supported_versions else QUIC_V1
        return 0 if first == QUIC_V1 else first

    def validate(self) -> None:
        """Raise ConfigurationError for the first setting that can't be, saying what would be right."""
        self._validate_alpn()
        self._validate_texts()
        self._validate_secrets()
        validate_numbers(self)
        validate_quic_lb(self.quic_lb, self.is_client)
        self._validate_choices()
        self._validate_versions()
        self._validate_trust()
        self._validate_preferred()
        validate_ech(self)

    def _validate_alpn(self) -> None:
        if self.alpn_protocols is None:
            return
        if isinstance(self.alpn_protocols, str | bytes) or not isinstance(self.alpn_protocols, Sequence):
            raise ConfigurationError(f"alpn_protocols is a list of names: use [{self.alpn_protocols!r}]")
        limit = _MAX_ALPN_OFFERED if self.is_client else _MAX_ALPN_ACCEPTED
        if len(self.alpn_protocols) > limit:
            raise ConfigurationError(f"at most {limit} ALPN protocols, not {len(self.alpn_protocols)}")
        for name in self.alpn_protocols:
            if not isinstance(name, str) or not 1 <= len(name.encode()) <= 255 or "\0" in name:
                raise ConfigurationError(f"an ALPN protocol is a text of 1 to 255 bytes without NUL, not {name!r}")

    def _validate_texts(self) -> None:
        for name in _PATHS:
            value = getattr(self, name)
            if value is not None and not isinstance(value, str | os.PathLike):
                raise ConfigurationError(f"{name} is a path, or None, not {value!r}")
        self._validate_named()
        if self.cadata is not None and not isinstance(self.cadata, str | bytes):
            raise ConfigurationError(f"cadata is PEM text or DER bytes, or None, not {self.cadata!r}")
        host = self.server_name
        if host is not None and (not isinstance(host, str) or not 1 <= len(host.encode()) <= 255 or "\0" in host):
            raise ConfigurationError(f"server_name is a text of 1 to 255 bytes without NUL, or None, not {host!r}")

    def _validate_secrets(self) -> None:
        password = self.private_key_password
        if password is not None and (not isinstance(password, str | bytes) or 0 in _as_bytes(password)):
            raise ConfigurationError("private_key_password is a text or bytes without NUL, or None")
        secret = self.stateless_reset_secret
        if secret is not None and (not isinstance(secret, bytes) or len(secret) != 16 or not any(secret)):
            raise ConfigurationError("stateless_reset_secret is 16 random bytes, for example os.urandom(16), or None")
        key = self.session_ticket_key
        if key is not None and (not isinstance(key, bytes) or len(key) != 32 or not any(key)):
            raise ConfigurationError("session_ticket_key is 32 random bytes, for example os.urandom(32), or None")
        if key is not None and self.is_client:
            raise ConfigurationError("session_ticket_key is for servers: a client keeps tickets in session_ticket_file")

    def _validate_named(self) -> None:
        for name in ("certificate_file", "private_key_file"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str | bytes | os.PathLike):
                raise ConfigurationError(f"{name} is a path, the content as bytes, or None, not {value!r}")
            if isinstance(value, str) and "-----BEGIN" in value:
                raise ConfigurationError(f"{name} is a path: give its content as bytes, with text.encode()")
        if self.certificates is None:
            return
        if self.is_client:
            raise ConfigurationError("certificates are for servers: a client has certificate_file")
        if not isinstance(self.certificates, Mapping) or not self.certificates:
            raise ConfigurationError(
                f'certificates are like {{"a.example": ("a.pem", "a.key")}}, or None, not {self.certificates!r}'
            )
        for name, source in self.certificates.items():
            server_name_of(name)
            is_pair = isinstance(source, Sequence) and not isinstance(source, str | bytes) and len(source) in (2, 3)
            if not is_pair or not all(isinstance(part, str | bytes | os.PathLike) for part in source[:2]):
                raise ConfigurationError(
                    f"certificates[{name!r}] is a certificate and its key, each a path or bytes, and the key's "
                    f"password if it has one, not {source!r}"
                )

    def _validate_choices(self) -> None:
        name = self.congestion_control_algorithm
        if name is not None and not (isinstance(name, str) and is_congestion_control(name)):
            raise ConfigurationError(
                f"unknown congestion control algorithm {name!r}: "
                "use newreno, reno, cubic, dcubic, fast, bbr, bbr1, prague or c4"
            )
        if self.cipher_suite is not None and self.cipher_suite not in CIPHER_SUITES:
            allowed = ", ".join(f"{suite:#06x}" for suite in CIPHER_SUITES)
            raise ConfigurationError(f"cipher_suite is one of {allowed}, or None, not {self.cipher_suite!r}")
        self._validate_groups()
        if self.pmtud not in _PMTUD:
            raise ConfigurationError(f'pmtud is "basic", "delayed" or "blocked", not {self.pmtud!r}')
        runs_inline(self.driver)
        self._validate_congestion_options()
        for switch in ("ack_frequency", "spin_bit", "early_data"):
            if not isinstance(getattr(self, switch), bool):
                raise ConfigurationError(f"{switch} is True or False, not {getattr(self, switch)!r}")
        if self.verify_mode not in _VERIFY_MODES:
            raise ConfigurationError(f"verify_mode is None or a VerifyMode of ssl, not {self.verify_mode!r}")
        if self.ip_family not in (None, socket.AF_INET, socket.AF_INET6):
            raise ConfigurationError(f"ip_family is socket.AF_INET, socket.AF_INET6 or None, not {self.ip_family!r}")
        if self.qlog_dir is not None and not os.path.isdir(self.qlog_dir):
            raise ConfigurationError(f"qlog_dir {str(self.qlog_dir)!r} is not an existing folder")

    def _validate_congestion_options(self) -> None:
        options, name = self.congestion_control_options, self.congestion_control_algorithm
        if options is None:
            return
        is_known = name in ("bbr", "bbr1") and isinstance(options, str)
        if not is_known or not re.fullmatch(_CONGESTION_OPTIONS, options):
            raise ConfigurationError(
                'congestion_control_options are for bbr and bbr1: "T" and microseconds, "Q" and a number, or both in '
                f"this order, not {options!r} for {name}"
            )

    def _validate_preferred(self) -> None:
        wanted = self.preferred_addresses
        if wanted is None:
            return
        if self.is_client:
            raise ConfigurationError("preferred_addresses is for servers: a client follows its server's")
        families, ports = [], set()
        for entry in wanted if isinstance(wanted, list | tuple) else [wanted]:
            try:
                host, port = entry
                packed = packed_address(str(host))
            except (TypeError, ValueError):
                packed, port = b"", 0
            if not any(packed) or not isinstance(port, int) or not 0 < port < 65536:
                raise ConfigurationError(
                    "preferred_addresses are IP literals and ports that clients can reach, such as "
                    f'[("192.0.2.1", 443)], not {wanted!r}'
                )
            families.append(len(packed))
            ports.add(port)
        if sorted(families) not in ([4], [4, 16]) or len(ports) != 1:
            raise ConfigurationError(  # picoquic sends the IPv4 port for both
                "preferred_addresses has an IPv4 address, and at most an IPv6 address with the same port beside it, "
                f"not {wanted!r}"
            )

    def _validate_groups(self) -> None:
        groups = self.key_exchange_groups
        if groups is None:
            return
        there_are = available_key_exchange_groups()
        is_list = isinstance(groups, Sequence) and not isinstance(groups, str | bytes)
        if not is_list or not groups or len(set(groups)) != len(groups) or not set(groups) <= set(there_are):
            allowed = ", ".join(f"{group:#06x}" for group in there_are)
            raise ConfigurationError(f"key_exchange_groups is a list of some of {allowed}, or None, not {groups!r}")

    def _validate_versions(self) -> None:
        versions = self.supported_versions
        if versions is not None and (
            not isinstance(versions, list | tuple)
            or not versions
            or len(set(versions)) != len(versions)
            or not set(versions) <= {QUIC_V1, QUIC_V2}
        ):
            raise ConfigurationError(f"supported_versions is a list of QUIC_V1 and QUIC_V2, or None, not {versions!r}")
        if versions is not None and not self.is_client and len(versions) != 2:
            raise ConfigurationError("a server accepts versions 1 and 2: give supported_versions both, or None")
        if not self.is_client and self.session_ticket_file is not None:
            raise ConfigurationError("session_ticket_file is for clients: a server keeps no tickets")
        if self.session_store is not None:
            if not isinstance(self.session_store, SessionStore):
                raise ConfigurationError(
                    f"session_store is an aiopquic.SessionStore, or None, not {self.session_store!r}"
                )
            if not self.is_client or self.session_ticket_file is not None:
                raise ConfigurationError("session_store is for clients, and instead of a session_ticket_file")
        if self.is_client and self.early_data:
            raise ConfigurationError("early_data is for servers: a client sends 0-RTT data by wait_connected=False")

    def _validate_hashes(self, given: list[str]) -> None:
        for name in ("server_certificate_hashes", "pinned_keys"):
            hashes = getattr(self, name)
            if hashes is None:
                continue
            if not self.is_client:
                raise ConfigurationError(f"{name} is for clients: a server has cafile, capath or cadata")
            is_list = isinstance(hashes, Sequence) and not isinstance(hashes, str | bytes)
            if not is_list or not hashes or any(not isinstance(one, bytes) or len(one) != 32 for one in hashes):
                raise ConfigurationError(f"{name} is a list of SHA-256 hashes, 32 bytes each, or None, not {hashes!r}")
        if self.server_certificate_hashes is not None and (given or self.verify_mode == ssl.CERT_NONE):
            other = given[0] if given else "verify_mode=ssl.CERT_NONE"
            raise ConfigurationError(
                f"server_certificate_hashes and {other} exclude each other: a certificate is accepted by its hash alone"
            )

    def _validate_trust(self) -> None:
        """A server that was told whom to trust must not accept everybody, and one that verifies must be told whom."""
        given = [name for name in ("cafile", "capath", "cadata") if getattr(self, name) is not None]
        self._validate_hashes(given)
        if self.is_client:
            return
        if given and self.verify_mode is None:
            raise ConfigurationError(
                f"a server with {given[0]} needs a verify_mode: ssl.CERT_REQUIRED or ssl.CERT_OPTIONAL to verify "
                "clients, ssl.CERT_NONE to ask them for nothing"
            )
        if self.verify_peer and not given:
            raise ConfigurationError("a server that verifies clients needs cafile, capath or cadata: whom to trust")

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _FIELD_NAMES and _FIELD_NAMES:
            raise ConfigurationError(f"QuicConfiguration has no setting {name!r}")
        object.__setattr__(self, name, value)


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


_FIELD_NAMES: frozenset[str] = frozenset()
_FIELD_NAMES = frozenset(setting.name for setting in fields(QuicConfiguration))

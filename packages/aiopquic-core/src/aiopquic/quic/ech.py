"""Encrypted Client Hello (RFC 9849): keys of servers, and the configurations that clients use them by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiopquic._addresses import packed_address
from aiopquic._records import Record
from aiopquic.exceptions import ConfigurationError

if TYPE_CHECKING:
    from aiopquic.quic.configuration import QuicConfiguration

__all__ = ["EchKey", "check_hidden_name", "ech_settings", "read_ech_config", "validate_ech"]

_VERSION = 0xFE0D
_X25519 = 0x0020
#: DHKEM(P-256), DHKEM(P-384) and DHKEM(X25519), each with HKDF (RFC 9180 section 7.1).
_KEMS = frozenset({0x0010, 0x0011, _X25519})
#: KDF and AEAD (RFC 9180 sections 7.2 and 7.3) of the suites that there are.
_SUITES = frozenset({(1, 1), (1, 3), (2, 2), (3, 1)})
_SUITES_OFFERED = ((1, 1), (1, 3))
_MANDATORY = 0x8000
_PEM = rb"-----BEGIN (ECHCONFIG|PRIVATE KEY)-----(.*?)-----END \1-----"


@dataclass(frozen=True, init=False, repr=False, eq=False)
class EchKey(Record):
    """A key that a server opens encrypted ClientHellos with.

    ``config`` is what clients need of it, public: an ECHConfigList with one configuration, for their ``ech_config`` and
    the HTTPS record of DNS.
    """

    config: bytes
    private_key: bytes = field(repr=False)
    "PKCS #8, as DER."

    def __init__(self, config: bytes, private_key: bytes) -> None:
        self._assign(config=config, private_key=private_key)

    def __hash__(self) -> int:
        return hash(self._values())

    @classmethod
    def generate(cls, public_name: str, *, config_id: int | None = None, max_name_length: int = 64) -> EchKey:
        """A new X25519 key; needs the extra ``aiopquic-core[cli]`` (``cryptography``).

        Args:
            public_name: what everybody can read instead of the real name, and what the server has a certificate for,
                too: with that it proves to a client with an old configuration that it may give it a new one.
            config_id: 0 to 255, another one for each key of a server; None: a random one.
            max_name_length: bytes of the longest real name: shorter ones are padded to it, at most 255.

        Raises:
            ConfigurationError: the name or a number can't be.
        """
        import secrets

        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import x25519

        try:
            name = public_name.encode("idna") if isinstance(public_name, str) else b""
        except UnicodeError:
            name = b""
        if not 0 < len(name) <= 255 or name.replace(b".", b"").isdigit():
            raise ConfigurationError(
                f'public_name is the name of a host, such as "public.example", not {public_name!r}'
            )
        number = secrets.randbelow(256) if config_id is None else config_id
        if not 0 <= number <= 255 or not 0 <= max_name_length <= 255:
            raise ConfigurationError("config_id and max_name_length are 0 to 255")
        key = x25519.X25519PrivateKey.generate()
        public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        suites = b"".join(kdf.to_bytes(2, "big") + aead.to_bytes(2, "big") for kdf, aead in _SUITES_OFFERED)
        contents = bytes([number]) + _X25519.to_bytes(2, "big") + _block(public) + _block(suites)
        contents += bytes([max_name_length, len(name)]) + name + _block(b"")
        private = key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return cls(_block(_VERSION.to_bytes(2, "big") + _block(contents)), private)

    def to_pem(self) -> bytes:
        """Both in one text, the private key first (RFC 9934); secret."""
        import base64

        blocks = ((b"PRIVATE KEY", self.private_key), (b"ECHCONFIG", self.config))
        return b"".join(
            b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, base64.encodebytes(content), label)
            for label, content in blocks
        )

    @classmethod
    def from_pem(cls, text: bytes) -> EchKey:
        """What :meth:`to_pem` wrote, or another program in its way. Raises ConfigurationError."""
        import base64

        found = {match[1]: match[2] for match in re.finditer(_PEM, text, re.DOTALL)}
        try:
            key, config = (base64.b64decode(found[label]) for label in (b"PRIVATE KEY", b"ECHCONFIG"))
        except (KeyError, ValueError):
            raise ConfigurationError("an ECH key is PEM text with a PRIVATE KEY and an ECHCONFIG (RFC 9934)") from None
        return cls(read_ech_config(config), key)


def ech_settings(configuration: QuicConfiguration) -> dict[str, Any]:
    """The fields of the settings that are about ECH."""
    config, name = b"", None
    if configuration.ech_config is not None:
        config = read_ech_config(configuration.ech_config)
        name = _public_name(config)
    return {
        "ech_keys": tuple((key.config, key.private_key) for key in configuration.ech_keys or ()),
        "uses_ech": configuration.ech_config is not None or configuration.ech_grease,
        "ech_configs": config,
        "ech_public_name": name,
    }


def read_ech_config(value: bytes | str) -> bytes:
    """An ECHConfigList, from bytes or from base64 text, with the first configuration that can be used alone.

    Raises ConfigurationError when it can't be read, and when no configuration in it can be used: a client that went on
    would show the name that it wants to hide.
    """
    try:
        content = _of_base64(value) if isinstance(value, str) else bytes(value)
        configs, rest = _take(content, 2)
        if rest or not configs:
            raise ValueError
        usable = []
        while configs:
            version, body = int.from_bytes(configs[:2], "big"), configs[2:]
            contents, configs = _take(body, 2)
            if version == _VERSION and _can_use(contents):
                usable.append(contents)
    except (ValueError, TypeError):
        raise ConfigurationError(
            "ech_config is an ECHConfigList (RFC 9849 section 4), as bytes or as base64 text, or None"
        ) from None
    if not usable:
        raise ConfigurationError(
            "ech_config has no configuration that can be used here: version 0xfe0d with DHKEM(X25519), (P-256) or "
            "(P-384), and AES-GCM or ChaCha20-Poly1305"
        )
    return _block(_VERSION.to_bytes(2, "big") + _block(usable[0]))


def _public_name(config: bytes) -> str:
    """Of the one configuration in the list."""
    _, rest = _take(config[9:], 2)  # behind lengths, version, id and KEM
    _, rest = _take(rest, 2)
    return _take(rest[1:], 1)[0].decode("ascii")


def _of_base64(text: str) -> bytes:
    import base64  # for those who have text

    return base64.b64decode(text, validate=True)


def _can_use(contents: bytes) -> bool:
    kem = int.from_bytes(contents[1:3], "big")
    public_key, rest = _take(contents[3:], 2)
    suites, rest = _take(rest, 2)
    name, rest = _take(rest[1:], 1)
    extensions, rest = _take(rest, 2)
    if rest or not public_key or not name or not suites or len(suites) % 4:
        raise ValueError
    offered = {
        (int.from_bytes(suites[at : at + 2], "big"), int.from_bytes(suites[at + 2 : at + 4], "big"))
        for at in range(0, len(suites), 4)
    }
    is_name = name.isascii() and b"\0" not in name and not name.replace(b".", b"").isdigit()
    is_usable = kem in _KEMS and bool(offered & _SUITES) and is_name
    while extensions:
        kind = int.from_bytes(extensions[:2], "big")
        _, extensions = _take(extensions[2:], 2)
        is_usable &= not kind & _MANDATORY
    return is_usable


def _block(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def _take(content: bytes, size: int) -> tuple[bytes, bytes]:
    """What a length of ``size`` bytes is in front of, and what follows."""
    end = size + int.from_bytes(content[:size], "big")
    if len(content) < max(end, size):
        raise ValueError
    return content[size:end], content[end:]


def check_hidden_name(name: str, configuration: QuicConfiguration) -> None:
    """Raise ConfigurationError when there is no name that could be hidden: addresses are not asked for in TLS."""
    try:
        packed_address(name)
    except ValueError:
        return
    if configuration.ech_config is not None:
        raise ConfigurationError(f"ech_config hides the name of a host, and {name!r} is an address: set server_name")


def validate_ech(configuration: QuicConfiguration) -> None:
    """Raise ConfigurationError for settings of ECH that can't be."""
    keys, config, grease = configuration.ech_keys, configuration.ech_config, configuration.ech_grease
    if not isinstance(grease, bool):
        raise ConfigurationError(f"ech_grease is True or False, not {grease!r}")
    if not configuration.is_client and (config is not None or grease):
        raise ConfigurationError("ech_config and ech_grease are for clients: a server has ech_keys")
    if config is not None:
        read_ech_config(config)
        if grease:
            raise ConfigurationError("ech_grease is for clients without an ech_config: give one of them")
    if keys is None:
        return
    if configuration.is_client:
        raise ConfigurationError("ech_keys are for servers: a client has ech_config")
    is_list = isinstance(keys, Sequence) and not isinstance(keys, str | bytes)
    if not is_list or not keys or not all(isinstance(key, EchKey) for key in keys):
        raise ConfigurationError(f"ech_keys is a list of aiopquic.EchKey, or None, not {keys!r}")
    numbers = [read_ech_config(key.config)[6] for key in keys]
    if len(set(numbers)) != len(numbers):
        raise ConfigurationError("the ech_keys of a server have different config_ids: clients choose by them")

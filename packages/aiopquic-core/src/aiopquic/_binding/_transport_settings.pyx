# cython: language_level=3
"""From the keywords of TransportContext.start() to the settings of an engine."""
import os
import socket

from aiopquic._addresses import has_ipv6
from aiopquic._binding._engine import is_congestion_control
from aiopquic._binding._engine import key_exchange_groups as available_groups
from aiopquic._binding._transport_numbers import DEFAULT_KEY_EXCHANGE_GROUPS
from aiopquic._driver import runs_inline
from aiopquic._files import check_keylog, qlog_folder, read_certificate, read_private_key, trusted_roots
from aiopquic._settings import EngineSettings
from aiopquic._tickets import load_tickets, trust_of
from aiopquic.exceptions import ConfigurationError

__all__ = [
    "application_protocols",
    "bind_addresses",
    "check_congestion_control_algorithm",
    "check_version",
    "refuse",
    "transport_settings",
]

cdef object DEFAULT_MAX_DATA = 1 << 24

# Enough for the bursts of a fast sender on one host.
cdef object DEFAULT_SOCKET_BUFFER = 4 << 20

# Stands for "no limit" in a C integer.
cdef object UNLIMITED = 1 << 60

cdef tuple CIPHER_SUITES = (0x1301, 0x1302, 0x1303)

# RFC 9000 and RFC 9369.
cdef object VERSION_1 = 0x00000001
cdef object VERSION_2 = 0x6B3343CF

# Packets of one key phase; well below what AES-GCM allows (RFC 9001 section 6.6).
cdef object MAX_KEY_UPDATE_INTERVAL = 1 << 22

# Keywords that other packages answer, and those that have no answer, with what to use in their place.
cdef dict WEBTRANSPORT = {"wt_path": None, "wt_supported_protocols": None, "web_folder": None, "dual": False}
cdef dict UNAVAILABLE = {
    "debug_log": (None, "set qlog_dir for a record of every packet"),
}


def check_congestion_control_algorithm(name):
    """Raise ConfigurationError, a ValueError, unless picoquic has a congestion controller of that name."""
    if not isinstance(name, str) or not is_congestion_control(name):
        raise ConfigurationError(f"there is no congestion control algorithm {name!r}")


def application_protocols(alpn, alpn_list):
    names = tuple(alpn_list) if alpn_list else ((alpn,) if alpn else ())
    if not names:
        raise ConfigurationError("QUIC needs an application protocol: give alpn or alpn_list")
    return names


def refuse(options):
    """Options that are off pass; one that is on is a ConfigurationError."""
    for name, value in options.items():
        if name in WEBTRANSPORT:
            if value != WEBTRANSPORT[name]:
                raise ConfigurationError(
                    f"{name} is for WebTransport, which the package aiopquic-webtransport serves, not this transport")
        elif value != UNAVAILABLE[name][0]:
            raise ConfigurationError(f"{name} is not available here: {UNAVAILABLE[name][1]}")


def groups_in_order(groups):
    """Numbers for the engine, none for its own order: there, groups that this OpenSSL lacks are left out."""
    if groups is None or tuple(groups) == DEFAULT_KEY_EXCHANGE_GROUPS:
        return ()
    wanted = tuple(groups)
    there_are = available_groups()
    if not wanted or len(set(wanted)) != len(wanted) or not set(wanted) <= set(there_are):
        raise ConfigurationError(f"key_exchange_groups are some of {there_are}, each once, not {wanted}")
    return wanted


def check_version(version):
    """Raise ConfigurationError, a ValueError, for a number that is no version of QUIC known here."""
    if version not in (0, VERSION_1, VERSION_2):
        raise ConfigurationError(
            f"desired_version is {VERSION_1:#x}, {VERSION_2:#x}, or 0 for the first, not {version!r}")


def bind_addresses(host, ip_family):
    """What to bind: the host, or the wildcard address of the family, or of both."""
    if host:
        return (host,)
    if ip_family == socket.AF_INET:
        return ("0.0.0.0",)
    if ip_family == socket.AF_INET6:
        return ("::",)
    if ip_family not in (-1, None):
        raise ConfigurationError(f"ip_family is socket.AF_INET or socket.AF_INET6, or -1 for both, not {ip_family!r}")
    return ("0.0.0.0", "::") if has_ipv6() else ("0.0.0.0",)


def transport_settings(names, command_capacity, *, port, host, ip_family, cert_file, key_file, key_password, is_client,
                       idle_timeout_ms, keylog_filename, congestion_control_algorithm, initial_max_data,
                       rx_data_ring_cap, initial_max_streams_uni, initial_max_streams_bidi, keep_alive_interval_ms,
                       socket_buffer_size, qlog_dir, verify_peer, ca_file, max_connections, cipher_suite,
                       max_datagram_frame_size, stream_ring_cap, key_exchange_groups, retry, key_update_interval,
                       ticket_file, pmtud_policy, desired_version, driver):
    """Check what can be checked before a socket is opened, and read the files."""
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"a UDP port is 0 to 65535, not {port!r}")
    if cipher_suite and cipher_suite not in CIPHER_SUITES:
        raise ConfigurationError(f"cipher_suite is 0x1301, 0x1302 or 0x1303, or 0 for all, not {cipher_suite!r}")
    if congestion_control_algorithm is not None:
        check_congestion_control_algorithm(congestion_control_algorithm)
    if is_client and retry:
        raise ConfigurationError("retry is for servers: nobody connects to a client")
    if not is_client and ticket_file:
        raise ConfigurationError("ticket_file is for clients: a server keeps no tickets")
    if not 0 <= key_update_interval <= MAX_KEY_UPDATE_INTERVAL:
        raise ConfigurationError(
            f"key_update_interval is 1 to {MAX_KEY_UPDATE_INTERVAL} packets, or 0, not {key_update_interval!r}")
    if pmtud_policy not in (None, "basic", "delayed", "blocked"):
        raise ConfigurationError(f'pmtud_policy is "basic", "delayed" or "blocked", or None, not {pmtud_policy!r}')
    check_version(desired_version)
    keylog_file = keylog_filename or os.environ.get("SSLKEYLOGFILE") or None
    check_keylog(keylog_file)
    window = rx_data_ring_cap or DEFAULT_MAX_DATA
    tickets = os.fspath(ticket_file) if ticket_file else None
    settings = EngineSettings(
        is_client=is_client,
        always_retry=retry,
        bind_addresses=bind_addresses(host, ip_family),
        local_port=port,
        is_inline=runs_inline(driver),
        socket_buffer_bytes=socket_buffer_size or DEFAULT_SOCKET_BUFFER,
        alpn=names,
        certificate_chain=b"" if is_client else read_certificate(cert_file),
        private_key=b"" if is_client else read_private_key(key_file),
        private_key_password=key_password.encode() if isinstance(key_password, str) else key_password,
        trusted_roots=trusted_roots(ca_file) if is_client and verify_peer else (),
        verify_peer=is_client and verify_peer,
        keylog_file=keylog_file,
        qlog_dir=qlog_folder(qlog_dir),
        congestion_control=congestion_control_algorithm,
        cipher_suite=cipher_suite,
        max_connections=max_connections,
        idle_timeout_ms=idle_timeout_ms,
        keep_alive_us=keep_alive_interval_ms * 1000,
        max_data=initial_max_data or DEFAULT_MAX_DATA,
        max_stream_data=window,
        initial_stream_window=min(1 << 16, window),
        max_streams_uni=initial_max_streams_uni or 512,
        max_streams_bidi=initial_max_streams_bidi or 512,
        max_datagram_frame_size=max_datagram_frame_size,
        send_budget_stream=stream_ring_cap,
        send_budget_conn=UNLIMITED,
        command_capacity=command_capacity,
        key_exchange_groups=groups_in_order(key_exchange_groups),
        key_update_interval=key_update_interval,
        session_ticket_file=tickets,
        pmtud=pmtud_policy or "basic",
        desired_version=0 if desired_version == VERSION_1 else desired_version,
    )
    if tickets is None:
        return settings
    return settings.replaced(session_tickets=load_tickets(tickets, trust_of(settings)))

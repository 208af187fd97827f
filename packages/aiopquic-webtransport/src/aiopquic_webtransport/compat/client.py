"""A client's session by stream ids and events."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

from aiopquic.exceptions import QuicConnectionError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic_webtransport.client import SessionOptions, open_session
from aiopquic_webtransport.compat.events import EventSession
from aiopquic_webtransport.compat.session import WebTransportSession
from aiopquic_webtransport.dialing import dial_http3
from aiopquic_webtransport.exceptions import WebTransportError

__all__ = ["WebTransportClient", "connect_webtransport"]


class WebTransportClient(WebTransportSession):
    """A session that :meth:`open` asks a server for, as servers of all drafts understand it.

    ``configuration`` has the settings; without it, those of ``transport`` count, if that was started. The connection
    lives on an engine that all clients with the same settings share, so the transport need not be started.
    """

    def __init__(
        self,
        transport: Any,
        host: str,
        port: int,
        path: str,
        sni: str | None = None,
        wt_available_protocols: Sequence[str] | None = None,
        *,
        configuration: QuicConfiguration | None = None,
    ) -> None:
        super().__init__(transport, "client")
        self._host = host
        self._port = port
        shown = f"[{host}]" if ":" in host else host
        self._options = dataclasses.replace(
            SessionOptions.of(
                path or "/",
                authority=shown if port == 443 else f"{shown}:{port}",
                protocols=wt_available_protocols or (),
                compatibility=True,
            ),
            make_session=EventSession,
        )
        settings = dataclasses.replace(configuration or _configuration_of(transport), alpn_protocols=["h3"])
        if sni is not None:
            settings.server_name = sni
        if not settings.max_datagram_frame_size:
            settings.max_datagram_frame_size = 1 << 16
        self._configuration = settings

    async def open(self, timeout: float = 10.0) -> None:
        """Connect, and ask for the session; ``timeout`` bounds both.

        Raises:
            WebTransportError: (a ConnectionError) the server does not answer, can't be reached, or refuses: the cause
                and its class say why.

        Cancellation: safe; what was begun is closed.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._wt_open()
        except WebTransportError:
            raise
        except (QuicConnectionError, TimeoutError) as error:
            text = str(error) or f"no session within {timeout:g} seconds"
            raise WebTransportError(f"the session could not be opened: {text}") from error

    async def _wt_open(self) -> None:
        place = (self._host, self._port, 0, True)
        http3 = await dial_http3(place, self._configuration, pooling=False)
        try:
            self._attach(cast(EventSession, await open_session(http3, self._options)))
        finally:
            http3._close_if_unused()


def _configuration_of(transport: Any) -> QuicConfiguration:
    """The settings with which a TransportContext was started; those of a new QuicConfiguration for anything else."""
    settings = getattr(transport, "settings", None)
    if settings is None:
        return QuicConfiguration(is_client=True)
    roots = "".join(map(ssl.DER_cert_to_PEM_cert, settings.trusted_roots))
    return QuicConfiguration(
        is_client=True,
        verify_mode=None if settings.verify_peer else ssl.CERT_NONE,
        cadata=roots or None,
        idle_timeout=settings.idle_timeout_ms / 1000,
        keep_alive_interval=settings.keep_alive_us / 1_000_000 or None,
        socket_buffer_size=settings.socket_buffer_bytes,
        max_data=settings.max_data,
        max_stream_data=settings.max_stream_data,
        max_streams_uni=settings.max_streams_uni,
        max_streams_bidi=settings.max_streams_bidi,
        max_datagram_frame_size=settings.max_datagram_frame_size,
        congestion_control_algorithm=settings.congestion_control,
        cipher_suite=settings.cipher_suite or None,
        key_update_interval=settings.key_update_interval or None,
        secrets_log_file=settings.keylog_file,
        qlog_dir=settings.qlog_dir,
        stream_ring_cap=settings.send_budget_stream,
        pmtud=settings.pmtud,
    )


@contextlib.asynccontextmanager
async def connect_webtransport(
    host: str,
    port: int,
    path: str,
    *,
    sni: str | None = None,
    wt_available_protocols: Sequence[str] | None = None,
    transport: Any = None,
    timeout: float = 10.0,
    configuration: QuicConfiguration | None = None,
    verify_peer: bool | None = None,
    ca_file: str | None = None,
) -> AsyncIterator[WebTransportClient]:
    """Open a session; the context manager closes it.

    Every setting of ``configuration`` counts, as with :func:`aiopquic.asyncio.connect`. ``verify_peer=False`` accepts
    any certificate, ``ca_file`` trusts those of a file.

    Raises:
        ConfigurationError: a setting is wrong.
        WebTransportError: as :meth:`WebTransportClient.open`.

    Cancellation: safe; the session is closed.
    """
    settings = configuration if configuration is not None else _configuration_of(transport)
    if ca_file is not None:
        settings = dataclasses.replace(settings, cafile=ca_file)
    if verify_peer is not None:
        settings = dataclasses.replace(settings, verify_mode=None if verify_peer else ssl.CERT_NONE)
    client = WebTransportClient(transport, host, port, path, sni, wt_available_protocols, configuration=settings)
    await client.open(timeout)
    try:
        yield client
    finally:
        await WebTransportSession.aclose(client)

"""One end of connections by aioquic or qh3, for their handshakes: ``sessions_peer.py MODULE ROLE SETTINGS``.

A server echoes and asks for certificates where it is told to; a client visits an echo as often as it is told to, each
time with what it learnt before. What happens is told on the output, a JSON line each.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

from exchange import ALPN

module, role, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
asyncio_api = importlib.import_module(f"{module}.asyncio")
events = importlib.import_module(f"{module}.quic.events")
tls = importlib.import_module(f"{module}.tls")
QuicConfiguration = importlib.import_module(f"{module}.quic.configuration").QuicConfiguration


def tell(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


class Protocol(asyncio_api.QuicConnectionProtocol):  # type: ignore[name-defined, misc]
    def quic_event_received(self, event: Any) -> None:
        if isinstance(event, events.HandshakeCompleted):
            tell(
                "visit",
                resumed=event.session_resumed,
                early=event.early_data_accepted,
                version=self._quic._version,
                retried=self._quic._retry_source_connection_id is not None,
                has_certificate=self._quic.tls._peer_certificate is not None,
            )
        if isinstance(event, events.ConnectionTerminated):
            tell("ended", code=event.error_code, reason=event.reason_phrase)
        if role == "client":
            super().quic_event_received(event)  # to the readers
        elif isinstance(event, events.StreamDataReceived):
            self._quic.send_stream_data(event.stream_id, event.data, event.end_stream)
            self.transmit()


def configured(**more: Any) -> Any:
    configuration = QuicConfiguration(alpn_protocols=[ALPN], is_client=role == "client", **more)
    if "idle_timeout" in settings:
        configuration.idle_timeout = settings["idle_timeout"]
    if "versions" in settings:
        configuration.supported_versions = settings["versions"]
    if "certificate" in settings:
        configuration.load_cert_chain(settings["certificate"], settings["key"])
    return configuration


def ask_for_certificates() -> None:
    """aioquic has it as a switch of its tests."""
    begin = tls.Context.__init__

    def begin_and_ask(self: Any, *arguments: Any, **keywords: Any) -> None:
        begin(self, *arguments, **keywords)
        self._request_client_certificate = True

    tls.Context.__init__ = begin_and_ask


async def serve() -> None:
    if settings.get("asks"):
        ask_for_certificates()
    tickets: dict[bytes, Any] = {}
    server = await asyncio_api.serve(
        settings["host"],
        0,
        configuration=configured(),
        create_protocol=Protocol,
        session_ticket_fetcher=lambda label: tickets.pop(label, None),
        session_ticket_handler=lambda ticket: tickets.update({ticket.ticket: ticket}),
        retry=settings.get("retry", False),
    )
    tell("listening", port=server._transport.get_extra_info("sockname")[1])
    await asyncio.Event().wait()


async def visit(tickets: list[Any]) -> None:
    configuration = configured(session_ticket=tickets.pop() if tickets else None)
    configuration.load_verify_locations(settings["cafile"])
    configuration.server_name = settings.get("server_name", "localhost")
    async with asyncio_api.connect(
        settings["host"],
        settings["port"],
        configuration=configuration,
        create_protocol=Protocol,
        session_ticket_handler=tickets.append,
        wait_connected=configuration.session_ticket is None,
    ) as client:
        reader, writer = await client.create_stream()
        writer.write(b"hello")
        writer.write_eof()
        tell("echo", text=(await reader.read()).decode())
        await client.ping()  # what comes behind the handshake has come
        if settings.get("stays"):
            await client.wait_closed()


async def main() -> None:
    if role == "server":
        await serve()
    tickets: list[Any] = []
    for _ in range(settings["visits"]):
        await visit(tickets)
    tell("done")


if __name__ == "__main__":
    asyncio.run(main())

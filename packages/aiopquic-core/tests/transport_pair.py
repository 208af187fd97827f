"""Two TransportContexts, one connected to the other, and the events of each."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

from aiopquic._binding._transport import TransportContext

READY, CLOSE, APP_CLOSE, DATA, FIN, RESET, STOP, TX_DRAINED = 6, 4, 5, 0, 1, 2, 3, 15
#: Seconds until a test gives up waiting for an event.
DEADLINE = 20.0

Event = tuple[Any, ...]


class Pair:
    """A server and a client context, and the events of each."""

    def __init__(self, files: tuple[str, str], ring_capacity: int = 0, **settings: Any) -> None:
        self.server = TransportContext()
        self.server.start(port=0, cert_file=files[0], key_file=files[1], alpn="moq-00", is_client=False)
        self.client = TransportContext(ring_capacity=ring_capacity)
        self.client.start(port=0, alpn="moq-00", is_client=True, ca_file=files[0], **settings)
        self.connect("127.0.0.1")

    @classmethod
    def of_contexts(cls, server: TransportContext, client: TransportContext, host: str) -> Pair:
        """A client of a server that run already."""
        pair = cls.__new__(cls)
        pair.server, pair.client = server, client
        pair.connect(host)
        return pair

    def connect(self, host: str) -> None:
        self.server_events: list[Event] = []
        self.client_events: list[Event] = []
        self.handle = self.client.create_client_connection(host, self.server.port, sni="localhost", alpn="moq-00")

    def until(self, condition: Callable[[], bool], drains_server: bool = True) -> None:
        """Drain both sides until the condition holds."""
        end = time.monotonic() + DEADLINE
        while not condition():
            left = end - time.monotonic()
            assert left > 0, f"nothing more happened: {self.client_events} {self.server_events}"
            # Some conditions come true without an event.
            select.select([self.server.eventfd, self.client.eventfd], [], [], min(left, 0.05))
            if drains_server:
                self.server_events += self.server.drain_rx()
            self.client_events += self.client.drain_rx()

    def connected(self) -> int:
        """Wait for both ends of the handshake; return the server's handle."""
        self.until(lambda: bool(self.of(self.client_events, READY) and self.of(self.server_events, READY)))
        return int(self.of(self.server_events, READY)[0][5])

    @staticmethod
    def of(events: list[Event], number: int) -> list[Event]:
        """The events of that type that belong to a connection."""
        return [event for event in events if event[0] == number and event[5] != 0]

    def stop(self) -> None:
        self.client.stop()
        self.server.stop()

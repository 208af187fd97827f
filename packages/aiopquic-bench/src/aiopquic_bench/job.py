"""One measurement of one case: what is measured, and how."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.testing.certificates import CERTIFICATE_FILE, KEY_FILE
from aiopquic_bench.apis import api_named
from aiopquic_bench.apis.shape import ALPN, Connection, Handler, Server

__all__ = ["Job"]

#: More than any case holds at once.
MAX_CONNECTIONS = 4096
MAX_STREAMS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Travels between the processes as JSON."""

    case: str
    api: str = "streams"
    driver: str = "thread"
    congestion_control: str = "bbr1"
    size: int = 0
    "Bytes of a write, a message or a payload; 0 for cases that have none."
    duration: float = 1.0
    "Seconds that are measured."
    warm_up: float = 0.25
    "Seconds before, that are not."
    patience: float = 15.0
    "Seconds beyond both after which the measurement has stalled."
    workers: int = 1
    "Engines of the server."
    is_one_process: bool = False
    certificates: str = ""
    "The folder with the server's certificate and key."
    max_connections: int = MAX_CONNECTIONS
    idle_timeout: float = 30.0
    "Seconds without a packet after which a connection ends."

    @property
    def deadline(self) -> float:
        """Seconds that the measurement may take."""
        return self.warm_up + self.duration + self.patience

    def as_json(self) -> dict[str, Any]:
        """For :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """From another process."""
        return cls(**{field.name: values[field.name] for field in fields(cls)})

    def connect(
        self, port: int, *, tickets: Path | None = None, is_early: bool = False
    ) -> AbstractAsyncContextManager[Connection]:
        """A client's connection to the server at a port of this host.

        Args:
            port: the server's.
            tickets: the file that keeps session tickets.
            is_early: it can be written to before the handshake is complete; for APIs with ``connect_early``.
        """
        configuration = QuicConfiguration(
            is_client=True,
            alpn_protocols=[ALPN],
            cafile=Path(self.certificates) / CERTIFICATE_FILE,
            congestion_control_algorithm=self.congestion_control,
            driver=self.driver,
            idle_timeout=self.idle_timeout,
            session_ticket_file=tickets,
        )
        api = api_named(self.api)
        connect = api.connect_early if is_early else api.connect
        assert connect is not None
        return connect(port, configuration)

    def serve(self, handler: Handler) -> AbstractAsyncContextManager[Server]:
        """A server of the API."""
        configuration = QuicConfiguration(
            is_client=False,
            alpn_protocols=[ALPN],
            certificate_file=Path(self.certificates) / CERTIFICATE_FILE,
            private_key_file=Path(self.certificates) / KEY_FILE,
            congestion_control_algorithm=self.congestion_control,
            driver=self.driver,
            early_data=True,  # one case's clients send some
            max_connections=self.max_connections,
            idle_timeout=self.idle_timeout,
            max_streams_bidi=MAX_STREAMS,
        )
        return api_named(self.api).serve(handler, configuration, self.workers)

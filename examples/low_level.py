"""The low-level API with an event loop of one's own: a server and a client in one ``select``.

python examples/low_level.py
"""

from __future__ import annotations

import select
import tempfile

from aiopquic._binding._transport import (
    EVT_APP_CLOSE,
    EVT_CLOSE,
    EVT_READY,
    EVT_STREAM_DATA,
    EVT_STREAM_FIN,
    TransportContext,
)
from aiopquic.testing.certificates import dev_certificate


def main(folder: str) -> None:
    certificate, key = map(str, dev_certificate().write(folder))
    server, client = TransportContext(), TransportContext()
    server.start(host="127.0.0.1", cert_file=certificate, key_file=key, alpn="echo", is_client=False)
    client.start(ca_file=certificate, alpn="echo")
    connection = client.create_client_connection("127.0.0.1", server.port, sni="localhost")
    answer = b""
    is_over = False
    while not is_over:
        readable, _, _ = select.select([server.eventfd, client.eventfd], [], [], 5.0)
        if not readable:
            raise TimeoutError("nothing happened for five seconds")
        for kind, stream_id, data, is_fin, _, handle, _, _ in server.drain_rx():
            if kind in (EVT_STREAM_DATA, EVT_STREAM_FIN):
                server.tx_send_stream(handle, stream_id, data or b"", is_fin)
        for kind, _, data, is_fin, code, handle, _, _ in client.drain_rx():
            if kind == EVT_READY and handle == connection:
                client.tx_send_stream(connection, 0, b"hello", True)
            elif kind in (EVT_STREAM_DATA, EVT_STREAM_FIN):
                answer += data or b""
                if is_fin:
                    client.close_connection(connection, 0, b"done")
            elif kind in (EVT_CLOSE, EVT_APP_CLOSE):
                print(f"{answer.decode()}, closed with code {code}")
                is_over = True
    client.stop()
    server.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)

"""Sends a text to readers_server.py and prints the answer.

python examples/readers_client.py certificates/certificate.pem TEXT [PORT]
"""

from __future__ import annotations

import asyncio
import sys

from aiopquic.asyncio import connect
from aiopquic.exceptions import AlpnError, CertificateVerifyError, HandshakeTimeoutError, QuicConnectionError
from aiopquic.quic.configuration import QuicConfiguration


async def main(cafile: str, text: str, port: int) -> str:
    """The answer, or a sentence about what went wrong."""
    configuration = QuicConfiguration(alpn_protocols=["echo"], cafile=cafile, handshake_timeout=3)
    try:
        async with connect("localhost", port, configuration=configuration) as protocol:
            reader, writer = await protocol.create_stream()
            writer.write(text.encode())
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            stats = await protocol._quic.stats()
            print(f"round trip {stats['rtt']} us, {stats['sent']} packets sent", file=sys.stderr)
            return answer.decode()
    except CertificateVerifyError as error:
        return f"not the server that {cafile} is for: {error.close_reason.verify_error}"
    except AlpnError:
        return "there is a QUIC server, but it does not speak echo"
    except HandshakeTimeoutError:
        return "nobody answered within 3 s"
    except QuicConnectionError as error:
        return f"the connection ended: {error}"


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 4433)))

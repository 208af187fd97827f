"""Sends a text to echo_server.py and prints the answer.

python examples/echo_client.py certificates/certificate.pem TEXT [PORT]
"""

from __future__ import annotations

import asyncio
import sys

import aiopquic


async def main(cafile: str, text: str, port: int) -> str:
    """The answer, or a sentence about what went wrong."""
    try:
        async with (
            aiopquic.connect("localhost", port, alpn=["echo"], cafile=cafile, handshake_timeout=3) as conn,
            await conn.open_stream() as stream,
        ):
            await stream.write(text.encode(), end_stream=True)
            answer = await stream.read_all(limit=1 << 20)
            stats = await conn.stats()
            print(f"round trip {stats.smoothed_rtt * 1e6:.0f} us, {stats.packets_sent} packets sent", file=sys.stderr)
            return answer.decode()
    except aiopquic.CertificateVerifyError as error:
        return f"not the server that {cafile} is for: {error.close_reason.verify_error}"
    except aiopquic.AlpnError:
        return "there is a QUIC server, but it does not speak echo"
    except aiopquic.HandshakeTimeoutError:
        return "nobody answered within 3 s"
    except aiopquic.QuicConnectionError as error:
        return f"the connection ended: {error}"


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 4433)))

"""What a program can ask of TLS, and what it is told. Runs by itself: ``python examples/tls.py``."""

import asyncio
import hashlib
import ssl
from pathlib import Path

import aiopquic
from aiopquic.testing import dev_authority, dev_certificate

ALPN = ["example"]
AUTHORITY = dev_authority()
LOG = Path("keys.log")
SERVER = AUTHORITY.issue(["localhost", "public.example", "secret.example"])


async def wait(connection):
    await connection.wait_closed()


def serve(handle=wait, **settings):
    settings = {"certificate": SERVER.certificate_pem, "private_key": SERVER.private_key_pem, **settings}
    return aiopquic.serve(handle, "127.0.0.1", 0, alpn=ALPN, **settings)


def connect(server, **settings):
    settings = {"server_name": "localhost", **settings}
    if "server_certificate_hashes" not in settings:
        settings.setdefault("cadata", AUTHORITY.certificate_pem)
    return aiopquic.connect("127.0.0.1", server.port, alpn=ALPN, **settings)


async def verification():
    """A client verifies chain, name, validity and use, and says what is wrong."""
    async with serve() as server:
        async with connect(server) as client:
            print("verified, with", client.alpn)
        for wrong in ({"server_name": "another.example"}, {"cadata": dev_authority().certificate_pem}):
            try:
                await connect(server, **wrong)
            except aiopquic.CertificateVerifyError as error:
                print(error)


async def client_certificates():
    """A server asks its clients who they are."""
    seen = asyncio.get_running_loop().create_future()

    async def handle(connection):
        seen.set_result(connection.peer_certificate)

    asking = {"verify_mode": ssl.CERT_REQUIRED, "cadata": AUTHORITY.certificate_pem}
    mine = AUTHORITY.issue(["a client"], usage="client")
    async with (
        serve(handle, **asking) as server,
        connect(server, certificate_file=mine.certificate_pem, private_key_file=mine.private_key_pem),
    ):
        print("the client is known:", hashlib.sha256(await seen).digest() == mine.sha256)


async def pinning():
    """A certificate is known by its hash, whoever issued it; or the key in it is."""
    own = dev_certificate()
    async with serve(certificate=own.certificate_pem, private_key=own.private_key_pem) as server:
        async with connect(server, server_certificate_hashes=[own.sha256]):
            print("known by its hash")
        try:
            await connect(server, cadata=own.certificate_pem, pinned_keys=[bytes(32)])
        except aiopquic.CertificateVerifyError as error:
            print(str(error).partition(":")[0])


async def names_and_renewal():
    """One port, certificates by the name that is asked for, new ones without a restart."""
    other = AUTHORITY.issue(["other.example"])
    async with serve(certificates={"other.example": (other.certificate_pem, other.private_key_pem)}) as server:
        async with connect(server, server_name="other.example") as client:
            print("by name:", hashlib.sha256(client.peer_certificate).digest() == other.sha256)
        newer = AUTHORITY.issue(["localhost"])
        await server.reload_certificate(newer.certificate_pem, newer.private_key_pem)
        async with connect(server) as client:
            print("renewed:", hashlib.sha256(client.peer_certificate).digest() == newer.sha256)


async def key_passwords():
    """An encrypted key, as a file would hold it, needs its password."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(SERVER.private_key_pem, None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    try:
        await serve(private_key=encrypted)
    except aiopquic.CertificateFileError as error:
        print(str(error).partition(" (")[0])
    async with serve(private_key=encrypted, private_key_password="secret"):
        print("opened with its password")


async def encrypted_client_hello():
    """Everybody on the path reads the public name, and only the server the other one."""
    key = aiopquic.EchKey.generate("public.example")
    async with (
        serve(ech_keys=[key]) as server,
        connect(server, server_name="secret.example", ech_config=key.config) as client,
    ):
        print("name encrypted:", client.ech_accepted)


async def algorithms_and_keys():
    """Suites and groups by their IANA numbers; other keys on the way; keys for another protocol."""
    choices = {"cipher_suite": 0x1303, "key_exchange_groups": [0x001D], "key_update_interval": 1000}
    async with serve() as server, connect(server, **choices) as client:
        await client.update_keys()
        material = await client.export_keying_material("EXPORTER-example", b"", 32)
        print("updated keys, and exported", len(material), "bytes")


async def key_log():
    """For Wireshark: whoever has the file can read the connection."""
    async with serve() as server, connect(server, secrets_log_file=LOG):
        pass
    print("key log:", "CLIENT_TRAFFIC_SECRET_0" in LOG.read_text())  # noqa: ASYNC240 - a program of one task


async def main():
    for show in (
        verification,
        client_certificates,
        pinning,
        names_and_renewal,
        key_passwords,
        encrypted_client_hello,
        algorithms_and_keys,
        key_log,
    ):
        await show()


asyncio.run(main())

"""Bad certificates of clients, and bad files of theirs: each refused, by a reason that says which it is."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import aiopquic
from aiopquic.exceptions import CertificateFileError, CertificateVerifyError
from aiopquic.testing import DevCertificate, dev_authority, dev_certificate

from .certificates import Certificates
from .streams.support import idle, soon
from .support import until
from .test_bad_input import CASES_OF_FILES, CASES_OF_TRUST, bad_files, bad_trust

AUTHORITY = dev_authority()


def shown_by(case: str) -> DevCertificate | None:
    """What a client presents to a server that trusts AUTHORITY."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return {
        "none": lambda: None,
        "expired": lambda: AUTHORITY.issue(["client"], usage="client", expired=True),
        "not yet valid": lambda: AUTHORITY.issue(["client"], usage="client", not_before=tomorrow),
        "of an unknown authority": lambda: dev_authority("another").issue(["client"], usage="client"),
        "self-signed": lambda: dev_certificate(["client"], usage="client"),
        "for servers": lambda: AUTHORITY.issue(["client"]),
        "good": lambda: AUTHORITY.issue(["client"], usage="client"),
    }[case]()


#: The alert that says why (RFC 8446 section 6.2).
REFUSED = {
    "none": "certificate_required",
    "expired": "certificate_expired",
    "not yet valid": "certificate_expired",
    "of an unknown authority": "unknown_ca|certificate_unknown|bad_certificate",
    "self-signed": "certificate_unknown",
    "for servers": "certificate_unknown",
}


@pytest.mark.parametrize("mode", [ssl.CERT_REQUIRED, ssl.CERT_OPTIONAL], ids=["required", "optional"])
@pytest.mark.parametrize("case", [*REFUSED, "good"])
async def test_certificate_of_a_client(case: str, mode: ssl.VerifyMode):
    """No handler sees who shows a bad one; who shows none is let in where that is allowed."""
    seen: list[bytes | None] = []

    async def handle(connection: aiopquic.Connection) -> None:
        seen.append(connection.peer_certificate)
        await connection.wait_closed()

    own, mine = AUTHORITY.issue(), shown_by(case)
    files = {"certificate": own.certificate_pem, "private_key": own.private_key_pem}
    settings: dict[str, Any] = {"cadata": AUTHORITY.certificate_pem}
    if mine is not None:
        settings.update(certificate_file=mine.certificate_pem, private_key_file=mine.private_key_pem)
    async with aiopquic.serve(
        handle, "127.0.0.1", 0, alpn=["test"], verify_mode=mode, cadata=AUTHORITY.certificate_pem, **files
    ) as server:
        is_welcome = case == "good" or (case == "none" and mode == ssl.CERT_OPTIONAL)
        connection = await aiopquic.connect("127.0.0.1", server.port, alpn=["test"], wait_connected=False, **settings)
        if is_welcome:
            await soon(connection.wait_connected())
            await soon(connection.ping())
            assert len(seen) == 1
            assert (seen[0] is None) == (mine is None)
        else:
            reason = await soon(connection.wait_closed())
            assert isinstance(reason.exception(), CertificateVerifyError)
            assert any(alert in str(reason) for alert in REFUSED[case].split("|")), str(reason)
            await until(lambda: server.stats().handshakes_failed == 1)
            assert seen == []
        await connection.aclose()


@pytest.mark.parametrize("case", [case for case in CASES_OF_FILES if not case.startswith("no ")])
async def test_bad_files_of_a_client(certificates: Certificates, tmp_path: Path, case: str):
    """connect() refuses what serve() does, in the same words, before a packet is sent."""
    settings, words = bad_files(certificates, tmp_path)[case]
    good = certificates.good
    settings = {"certificate_file": good.cert, "private_key_file": good.key, **settings}
    with pytest.raises(CertificateFileError, match=words):
        await aiopquic.connect("127.0.0.1", 1, alpn=["test"], cafile=good.cert, **settings)


@pytest.mark.parametrize("case", CASES_OF_TRUST)
async def test_bad_trust_store_of_a_server(certificates: Certificates, tmp_path: Path, case: str):
    """A server that could verify nobody does not start, and never lets everybody in."""
    settings, words = bad_trust(certificates, tmp_path)[case]
    good = certificates.good
    with pytest.raises(CertificateFileError, match=words):
        await aiopquic.serve(
            idle, "127.0.0.1", 0, alpn=["test"], certificate=good.cert, private_key=good.key,
            verify_mode=ssl.CERT_REQUIRED, **settings,
        )  # fmt: skip

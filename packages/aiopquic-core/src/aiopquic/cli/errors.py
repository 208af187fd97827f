"""What the commands tell when something is wrong: one sentence and an exit code."""

from __future__ import annotations

import socket

from aiopquic.cli.protocol import Code, RequestError
from aiopquic.exceptions import (
    AiopquicError,
    AlpnError,
    BindError,
    CertificateVerifyError,
    ConfigurationError,
    HandshakeTimeoutError,
    QuicConnectionError,
)

__all__ = ["ExitCode", "Problem", "UsageProblem", "problem_of"]


class ExitCode:
    """What a command exits with; 0 is success."""

    FAILED = 1
    "Something else, such as a full disk."
    USAGE = 2
    "The command line is wrong, or names what is not there."
    CONNECTION = 3
    "No connection, or it was lost."
    REFUSED = 4
    "The server, or the disk, refuses: not there, exists already, read-only."
    MISMATCH = 5
    "Bytes arrived that are not the file's."
    INTERRUPTED = 130
    "Ctrl-C."


class Problem(Exception):
    """Ends a command with a sentence."""

    def __init__(self, message: str, exit_code: int = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UsageProblem(Problem):
    """The command line is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.USAGE)


def problem_of(error: BaseException, peer: str = "", timeout: float = 0.0) -> Problem | None:
    """The problem that an exception means to the user; None when it is a mistake of ours."""
    if isinstance(error, BaseExceptionGroup):
        return problem_of(error.exceptions[0], peer, timeout)
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestError):
        mismatch = error.code == Code.DIGEST_MISMATCH
        return Problem(str(error), ExitCode.MISMATCH if mismatch else ExitCode.REFUSED)
    if isinstance(error, QuicConnectionError):
        return Problem(_connection_sentence(error, peer, timeout), ExitCode.CONNECTION)
    if isinstance(error, BindError):
        return Problem(str(error), ExitCode.CONNECTION)
    if isinstance(error, ConfigurationError):
        return Problem(str(error), ExitCode.USAGE)
    if isinstance(error, socket.gaierror):
        return Problem(f"the host of {peer} can't be resolved: {error.strerror}", ExitCode.CONNECTION)
    if isinstance(error, AiopquicError):
        return Problem(str(error))
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        return Problem(f"{where}{error.strerror or error}")
    return None


def _connection_sentence(error: QuicConnectionError, peer: str, timeout: float) -> str:
    if isinstance(error, HandshakeTimeoutError):
        return (
            f"nobody answered at {peer} within {timeout:g} s: is the server running there, "
            "and does UDP get through to that port?"
        )
    if isinstance(error, CertificateVerifyError):
        return (
            f"the certificate of {peer} was refused ({error.close_reason.verify_error or error}): trust it "
            "with --cafile FILE, or accept whoever answers with --insecure"
        )
    if isinstance(error, AlpnError):
        return f"{peer} speaks QUIC, but is no file server of aiopquic"
    return f"the connection to {peer} was lost: {error}"

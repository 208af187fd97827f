"""What ends a command: one sentence and an exit code."""

from __future__ import annotations

from aiopquic.exceptions import AiopquicError

__all__ = ["ExitCode", "Problem", "UsageProblem", "problem_of"]


class ExitCode:
    """What a command exits with; 0 is success."""

    FAILED = 1
    "Something else, such as a file that can't be written."
    USAGE = 2
    "The command line is wrong, or asks for what can't be measured."
    PEER = 3
    "The other process ended, or the connection to it."
    STALLED = 4
    "A measurement did not end in time."
    WRONG_BYTES = 5
    "Bytes were lost or changed on the way."
    REGRESSED = 6
    "The gate found a regression."
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


def problem_of(error: BaseException) -> Problem | None:
    """The problem that an exception means to the user; None when it is a mistake of ours."""
    if isinstance(error, BaseExceptionGroup):
        found = [problem for problem in map(problem_of, error.exceptions) if problem is not None]
        # Bytes that are wrong end the connection, and everything else fails then.
        return max(found, key=lambda problem: problem.exit_code == ExitCode.WRONG_BYTES, default=None)
    if isinstance(error, Problem):
        return error
    if isinstance(error, AiopquicError) and isinstance(error, ConnectionError):  # or a session on it
        return Problem(f"the connection to the server was lost: {error}", ExitCode.PEER)
    if isinstance(error, AiopquicError):
        return Problem(str(error))
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        return Problem(f"{where}{error.strerror or error}")
    return None

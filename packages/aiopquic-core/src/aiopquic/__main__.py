"""The command line: ``aiopquic`` and ``python -m aiopquic``.

``versions`` and ``doctor`` need nothing beyond aiopquic itself; every other command needs the extra
``aiopquic-core[cli]``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aiopquic import doctor, versions

__all__ = ["main"]

_EXTRA = ("typer", "rich", "cryptography")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["versions"], ["--version"]):
        return versions.main()
    if words in (["doctor"], ["doctor", "--json"]):
        return doctor.main(words[1:])
    try:
        from aiopquic.cli.app import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        print(
            f"aiopquic: the command line needs {error.name!r}, which is not installed: "
            'pip install "aiopquic-core[cli]" (python -m aiopquic versions works without)',
            file=sys.stderr,
        )
        return 2
    return run(words)


if __name__ == "__main__":
    sys.exit(main())

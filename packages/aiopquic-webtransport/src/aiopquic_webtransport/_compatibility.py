"""Is the core in this process the one that the extension was compiled against?"""

from __future__ import annotations

MEND = "pip install --force-reinstall 'aiopquic-core[webtransport]=={version}'"


def check_core(built_for: tuple[int, str], loaded: tuple[int, str], version: str) -> None:
    """Raise ImportError when they differ.

    h3zero reads and writes picoquic's private structures, so even an equal version number
    is not enough: picoquic's commit and compile definitions have to be the same.
    """
    if built_for == loaded:
        return
    if built_for[0] != loaded[0]:
        difference = f"it needs ABI {built_for[0]}, and core has ABI {loaded[0]}"
    else:
        difference = f"it was built for '{built_for[1]}', and core is '{loaded[1]}'"
    raise ImportError(
        f"aiopquic_webtransport {version} does not fit the installed aiopquic-core: "
        f"{difference}. This installs two that fit: {MEND.format(version=version)}"
    )

"""``python -m aiopquic_bench``."""

import sys

from aiopquic_bench.cli import main

if __name__ == "__main__":
    sys.exit(main())

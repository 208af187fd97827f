from importlib.metadata import version

import aiopquic_bench


def test_version_is_the_distributions():
    assert aiopquic_bench.__version__ == version("aiopquic-bench")

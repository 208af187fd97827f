import pytest

import check_layers

CSRC = "packages/aiopquic-core/csrc"
CORE = "packages/aiopquic-core/src/aiopquic"
WT = "packages/aiopquic-webtransport"
BENCH = "packages/aiopquic-bench/src/aiopquic_bench"

PASSES = [
    (f"{CSRC}/net/conn.c", '#include "base/ring.h"\n#include "picoquic.h"\n#include <errno.h>\n'),
    (f"{CSRC}/base/ring.h", "#include <stdint.h>\n"),
    (f"{CSRC}/driver/thread.c", '#include "engine/engine.h"\n'),
    (f"{CSRC}/include/aiopquic/engine.h", '#include "aiopquic/abi.h"\n'),
    (f"{CSRC}/tests/test_ring.c", '#include "net/conn.h"\n'),
    (f"{WT}/csrc/session.c", '#include "aiopquic/abi.h"\n#include "h3zero.h"\n'),
    (f"{WT}/src/aiopquic_webtransport/_native.pyx", "from aiopquic.capi cimport aiopq_abi_version\n"),
    (f"{WT}/src/aiopquic_webtransport/__init__.py", "import aiopquic\n"),
    (f"{BENCH}/apis/low.py", "from aiopquic._binding._transport import TransportContext\n"),
    (f"{CORE}/asyncio/client.py", "from aiopquic.quic.connection import QuicConnection\n"),
    (f"{CORE}/streams/client.py", "from aiopquic.streams.stream import Stream\n"),
    (f"{CORE}/asyncio/webtransport.py", "import aiopquic_webtransport\n"),
    (f"{CORE}/_binding/_engine.pyx", "from aiopquic._binding._status cimport check\n"),
    (f"{CORE}/quic/events.py", '"""Text.\n\nfrom aiopquic.asyncio import serve\n"""\n'),
]

FAILS = [
    (f"{CSRC}/net/conn.c", "#include <Python.h>\n", "no Python in it"),
    (f"{CSRC}/base/ring.c", '#include "net/conn.h"\n', "base/ is below net/"),
    (f"{CSRC}/base/ring.c", '#  include "picoquic.h"\n', "without picoquic"),
    (f"{CSRC}/engine/engine.c", '#include "driver/thread.h"\n', "engine/ is below driver/"),
    (f"{CSRC}/include/aiopquic/engine.h", '#include "net/conn.h"\n', "only each other"),
    (f"{CSRC}/include/aiopquic/engine.h", '#include "picoquic.h"\n', "only each other"),
    (f"{WT}/csrc/session.c", '#include "net/conn.h"\n', "private headers"),
    (
        f"{WT}/src/aiopquic_webtransport/_a.pyx",
        'cdef extern from "net/conn.h":\n    pass\n',
        "private headers",
    ),
    (
        f"{WT}/src/aiopquic_webtransport/_a.pyx",
        "from aiopquic._binding._engine cimport Engine\n",
        "public names",
    ),
    (f"{WT}/src/aiopquic_webtransport/_a.pyx", "from aiopquic.buffer cimport Buffer\n", "but aiopquic.capi"),
    (f"{WT}/src/aiopquic_webtransport/a.py", "import aiopquic_bench\n", "does not know aiopquic_bench"),
    (f"{WT}/src/aiopquic_webtransport/a.py", "from aiopquic._binding._transport import X\n", "public names"),
    (f"{BENCH}/apis/low.py", "from aiopquic._binding._engine import Engine\n", "public names"),
    (f"{CORE}/client.py", "def f():\n    import aiopquic_webtransport\n", "does not know aiopquic_webt"),
    (f"{CORE}/quic/connection.py", "from ..asyncio import client\n", "quic is below asyncio"),
    (f"{CORE}/streams/client.py", "from aiopquic.asyncio import connect\n", "streams stands beside asyncio"),
    (f"{CORE}/quic/dialing.py", "from aiopquic.streams import Connection\n", "quic is below streams"),
    (f"{CORE}/_binding/_engine.pyx", "from aiopquic.quic.events import E\n", "_binding is below quic"),
    (f"{CORE}/_binding/_engine.pyx", "from ..quic cimport events\n", "_binding is below quic"),
]


@pytest.mark.parametrize(("name", "text"), PASSES)
def test_passes(name, text):
    assert check_layers.check_file(name, text) == []


@pytest.mark.parametrize(("name", "text", "says"), FAILS)
def test_fails(name, text, says):
    problems = check_layers.check_file(name, text)
    assert len(problems) == 1
    assert says in problems[0]

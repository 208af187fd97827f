"""Which loop the tests run on is chosen from outside, and is the one that they get."""

from __future__ import annotations

import asyncio
import os


async def test_the_loop_is_the_one_that_was_asked_for():
    asked = os.environ.get("AIOPQUIC_TEST_LOOP", "asyncio")
    assert type(asyncio.get_running_loop()).__module__.partition(".")[0] == asked

"""Telemetry: what blocks the event loop shows."""

import asyncio
import time

from realtime import telemetry


async def test_a_loop_that_was_blocked_says_for_how_long() -> None:
    following = asyncio.create_task(telemetry.follow_loop_lag())
    try:
        # Due before the loop is blocked, and looked at behind it.
        await asyncio.sleep(telemetry.LAG_LOOK_SECONDS / 2)
        time.sleep(3 * telemetry.LAG_LOOK_SECONDS)  # noqa: ASYNC251
        async with asyncio.timeout(10):
            while telemetry.LOOP_LAG._value.get() < telemetry.LAG_LOOK_SECONDS:
                await asyncio.sleep(0.01)
    finally:
        following.cancel()

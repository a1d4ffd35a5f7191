"""Telemetry: what blocks the event loop shows."""

import asyncio
import json
import time
from pathlib import Path

from realtime import telemetry
from tests.perch import PATIENCE_SECONDS
from tests.processes import Cluster


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


async def test_every_line_that_a_process_logs_is_json_its_librarys_too(urls: tuple[str, str], tmp_path: Path) -> None:
    cluster = Cluster(urls, tmp_path)
    try:
        server = await cluster.start("serve")
        async with cluster.perch():
            pass
        server.terminate()
        await asyncio.wait_for(server.wait(), PATIENCE_SECONDS)
    finally:
        await cluster.stop()
    lines = [json.loads(line) for line in (tmp_path / "serve.0.log").read_text().splitlines()]
    assert lines
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    assert any(line.get("logger", "").startswith("uvicorn") for line in lines)

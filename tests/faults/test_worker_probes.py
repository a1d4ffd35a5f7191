"""What a worker tells its operator at WORK_PORT: whether it can work, how far behind all of it is, who relays."""

from typing import Any

from datastore.mongo import Doc
from tests.faults.box import WORKERS, Box, eventually

FIGURES = {"waiting", "pending", "oldest_seconds", "dead_letters", "relay_seconds"}
PATIENCE_SECONDS = 20


async def says(box: Box, **expected: Any) -> None:
    """Wait until both workers are ready or not, and report so."""

    async def both_do() -> bool:
        told = [await box.worker_says(name) for name in WORKERS]
        return all(expected.items() <= ({"status": status} | report).items() for status, report in told)

    await eventually(both_do, PATIENCE_SECONDS)


async def test_a_worker_that_cannot_work_says_why_and_when_it_can_again(box: Box) -> None:
    await says(box, status=200, mongo="ok", redis="ok", waiting=0, pending=0)
    status, report = await box.worker_says(WORKERS[0])
    assert (status, set(report)) == (200, FIGURES | {"mongo", "redis"})
    box.freeze(box.valkey)
    await says(box, status=503, mongo="ok", redis="TimeoutError")
    box.thaw()
    await says(box, status=200, redis="ok")


async def test_workers_tell_how_long_nobody_has_relayed(box: Box) -> None:
    async def relayed(least: float, most: float) -> None:
        async def so_long_ago() -> bool:
            reports = [(await box.worker_says(name))[1] for name in WORKERS]
            return all(least <= report["relay_seconds"] < most for report in reports)

        await eventually(so_long_ago, PATIENCE_SECONDS)

    await relayed(0, 1.5)
    # Somebody leads who does nothing.
    until: Doc = {"$add": ["$$NOW", 60_000]}
    await box.perch.mongo.system.update_one({"_id": "relay"}, [{"$set": {"holder": "nobody", "until": until}}])
    await relayed(2, 60)
    metrics = (await box.perch.http.get(f"{box.worker_url(WORKERS[0])}/metrics")).text
    assert 'perch_backlog{what="relay_seconds"}' in metrics
    await box.perch.mongo.system.update_one({"_id": "relay"}, {"$set": {"holder": None, "until": None}})
    await relayed(0, 1.5)

"""Relays and workers die and authors burst: each event is handled, nobody waits for another's readers."""

import asyncio
import time

from datastore import ids
from realtime import keys
from schema import globalid
from tests.faults.box import Box
from tests.faults.crowds import crowd, judged
from tests.faults.writers import writing

# The row of the fault matrix says 100 tweets; 20 show the same in a fifth of the time.
MANY, BURST = 4999, 20


async def test_a_frozen_relay_is_replaced_and_its_return_changes_nothing(box: Box) -> None:
    (reader,), authors = await crowd(box)
    fence = (await relay(box))["fence"]
    async with writing(box, authors) as writers:
        await writers.more(5)
        # Both workers' processes have a relay; the one that leads is frozen, and wakes when another leads.
        leader = await leading(box)
        box.freeze_process(leader)
        async with asyncio.timeout(20):
            while (await relay(box))["fence"] == fence:
                await asyncio.sleep(0.05)
        await writers.more(5)
        box.thaw()
        await writers.more(5)
    assert writers.failed == []
    await judged(writers, reader)


async def relay(box: Box) -> dict[str, int]:
    """What MongoDB says of the relays."""
    return await box.perch.mongo.system.find_one({"_id": "relay"}) or {}


async def leading(box: Box) -> str:
    """The process whose relay leads: the other one's freeze would not stop the renewals."""
    for name in ("worker0", "worker1"):
        box.freeze_process(name)
        before = (await relay(box))["renewed"]
        try:
            async with asyncio.timeout(0.8):
                while (await relay(box))["renewed"] == before:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return name
        box.thaw()
    raise AssertionError("nobody leads")


async def test_one_authors_burst_to_4999_readers_does_not_hold_up_another_authors_tweet(box: Box) -> None:
    star, other, reader = await box.perch.persons(3)
    await reader.follow(other)
    star_id, now_ms = globalid.of_type(star.id, "User"), ids.now_ms()
    crowd_ = [{"_id": {"a": star_id, "f": n}, "at": now_ms, "imported": True} for n in range(1, MANY)]
    await box.perch.mongo.follows.insert_many(crowd_)
    await reader.follow(star)
    await box.perch.settle()
    cursor = (await reader.home())["liveCursor"]
    async with reader.live(cursor) as live:
        for number in range(BURST):
            await star.post(f"burst {number}")
        began = time.monotonic()
        await other.post("small")
        before = 0
        while await live.added() != "small":
            before += 1
        waited = time.monotonic() - began
        left = BURST - before
        for _ in range(left):
            await live.added()
    print(f"the small tweet came after {waited:.2f} s, before {left} of {BURST} of the burst; {MANY} readers each")
    await box.repair()
    await box.perch.mongo.follows.delete_many({"_id.a": star_id, "imported": True})
    # As long as authors had to wait for each other, nothing of the burst was left by then.
    assert left > BURST // 2
    assert not await box.perch.redis.xlen(keys.DEAD_LETTERS)

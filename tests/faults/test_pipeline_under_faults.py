"""Relays and workers die and authors burst: each event is handled, nobody waits for another's readers."""

import asyncio
import time

from datastore.changes import Changes
from realtime import keys
from tests.faults.box import PARTITIONS, WORKERS, Box, eventually
from tests.faults.crowds import audience, crowd, judged
from tests.faults.writers import writing
from tests.realtime.test_pipeline import lose_history

MANY, BURST = 4999, 100
# One in five has read within the week, so that a timeline is kept: with all of them it is the same, in thrice the time.
KEPT_OF = 5


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


async def test_a_place_that_fell_off_the_oplog_is_read_from_the_documents_and_said_so(box: Box) -> None:
    (reader,), (author,) = await crowd(box, writers=1)
    async with reader.live((await reader.home())["liveCursor"]) as live:
        for worker in WORKERS:
            await box.kill(worker)
        missed = [(await author.post(f"number {number}"))["text"] for number in range(3)]
        changes = Changes(box.perch.mongo)
        await eventually(lambda: is_free(changes), 10)
        await lose_history(changes)
        await box.repair()
        # The follow may have been handled, and announced, again before.
        while (reason := await live.resync()) != "STATE_LOST":
            assert reason == "FOLLOWS_CHANGED"
    assert await reader.texts() == missed[::-1]
    assert "relay.history_lost" in box.logged()


async def is_free(changes: Changes) -> bool:
    """Whether nobody leads any more."""
    return await changes.lease("somebody", 0) is not None


async def test_events_that_no_worker_can_handle_are_set_aside_and_an_operator_sees_them(box: Box) -> None:
    (reader,), (author,) = await crowd(box, writers=1)
    for partition in range(PARTITIONS):
        await box.perch.redis.xadd(keys.events(partition), {"e": "NoSuchEvent", "b": "1", "s": "2", "o": "3"})
    await author.post("behind it")
    await box.perch.settle()
    assert await reader.texts() == ["behind it"]
    listed = await box.command("dead-letters", "list")
    assert listed.count("{'e': 'NoSuchEvent'") == listed.count("ValueError: ") == PARTITIONS
    await box.perch.redis.unlink(keys.DEAD_LETTERS)


async def test_one_authors_burst_to_4999_readers_does_not_hold_up_another_authors_tweet(box: Box) -> None:
    star, other, reader = await box.perch.persons(3)
    await reader.follow(other)
    await reader.follow(star)
    async with audience(box, [star], MANY - 1, KEPT_OF) as others:
        await box.perch.settle()
        async with reader.live((await reader.home())["liveCursor"]) as live:
            await asyncio.gather(*(star.post(f"burst {number}") for number in range(BURST)))
            began = time.monotonic()
            await other.post("small")
            before = 0
            while await live.added() != "small":
                before += 1
            waited = time.monotonic() - began
            _, behind = await box.worker_says(WORKERS[0])
            left = BURST - before
            for _ in range(left):
                await live.added()
        print(f"the small tweet came after {waited:.2f} s, before {left} of {BURST} of the burst; {MANY} readers each")
        await box.repair()
        # As long as authors had to wait for each other, nothing of the burst was left by then.
        assert left > BURST // 2
        assert (behind["pending"] > 0, behind["oldest_seconds"] > 0) == (True, True)
        assert [len(entries) for entries in await others.hold(2 * BURST)] == [BURST]
    assert not await box.perch.redis.xlen(keys.DEAD_LETTERS)

"""Relays and workers die and authors burst: each event is handled, nobody waits for another's readers."""

import asyncio
import time
from collections.abc import Callable

from datastore import ids
from datastore.changes import Changes
from realtime import keys
from schema import globalid
from tests.faults.box import PARTITIONS, REPAIR_SECONDS, WORKERS, Box, eventually
from tests.faults.crowds import audience, crowd, judged
from tests.faults.writers import writing
from tests.perch import Person
from tests.realtime.test_pipeline import lose_history

MANY, BURST = 4999, 100
# One in five has read within the week, so that a timeline is kept: with all of them it is the same, in thrice the time.
KEPT_OF = 5


async def test_a_frozen_relay_is_replaced_and_its_return_changes_nothing(box: Box) -> None:
    (reader,), authors = await crowd(box)
    async with writing(box, authors) as writers:
        await writers.more(5)
        # Both workers' processes have a relay; the one that leads is frozen, and wakes when another leads.
        fence = await with_leader(box, box.freeze_process)
        await passed_on(box, fence)
        await writers.more(5)
        box.thaw()
        await writers.more(5)
    assert writers.failed == []
    await judged(writers, reader)


async def test_a_killed_relay_is_replaced_by_the_one_that_waits(box: Box) -> None:
    (reader,), authors = await crowd(box)
    async with writing(box, authors) as writers:
        await writers.more(5)
        fence = await with_leader(box, box.kill_now)
        await passed_on(box, fence)
        await writers.more(5)
    assert writers.failed == []
    # Nobody has started another process: what one relay knew the other has found.
    await judged(writers, reader)


async def relay(box: Box) -> dict[str, int]:
    """What MongoDB says of the relays."""
    return await box.perch.mongo.system.find_one({"_id": "relay"}) or {}


async def with_leader(box: Box, do: Callable[[str], None]) -> int:
    """Do this to the process whose relay leads, at a moment at which it does; gives its fence. A leader says so in its
    log: how long it takes to renew its lease says nothing on a busy machine."""

    def leader(fence: int) -> str | None:
        leads = {"event": "relay.leading", "fence": fence}
        return next((name for name in WORKERS if any(leads.items() <= line.items() for line in box.said(name))), None)

    async with asyncio.timeout(REPAIR_SECONDS):
        while True:
            fence = (await relay(box))["fence"]
            if name := leader(fence):
                do(name)
                if (await relay(box))["fence"] == fence:
                    return fence
                # Another one had just taken over.
                await box.repair()
            await asyncio.sleep(0.02)


async def passed_on(box: Box, fence: int) -> None:
    """Wait until another relay leads."""

    async def another_leads() -> bool:
        return (await relay(box))["fence"] > fence

    await eventually(another_leads, REPAIR_SECONDS)


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


def partition_of(author: Person) -> int:
    """Where the events of this author wait."""
    return ids.spread(globalid.of_type(author.id, "User"), ids.AUTHOR_BUCKETS) % PARTITIONS


async def test_one_authors_burst_to_4999_readers_does_not_hold_up_another_authors_tweet(box: Box) -> None:
    star, other, reader = await box.perch.persons(3)
    while partition_of(other) != partition_of(star):
        # Nobody else's worker may hand the small tweet on.
        other = await box.perch.person()
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
        # Where authors have to wait for each other, little or nothing of the burst is left by then.
        assert left > BURST // 2
        assert (behind["pending"] > 0, behind["oldest_seconds"] > 0) == (True, True)
        await box.repair()
        assert [len(entries) for entries in await others.hold(2 * BURST)] == [BURST]
    assert not await box.perch.redis.xlen(keys.DEAD_LETTERS)

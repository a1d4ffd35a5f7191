"""One primary of a Redis Cluster is killed, emptied, passed over or loses a slot: what its readers see, and that nobody
else sees anything of it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from realtime import keys
from realtime.connect import RedisError, for_workers, passes_by_itself
from realtime.primaries import Primaries
from realtime.scripts import Scripts
from realtime.slots import Address, slot_of
from tests.cluster.conftest import Servers, number, silent
from tests.perch import PATIENCE_SECONDS, Live, Perch, Person

# An election, the start of an empty server, and whatever else the machine does.
FAIL_OVER_SECONDS = 3 * PATIENCE_SECONDS


async def said(author: Person, count: int, what: str) -> list[str]:
    return [(await author.post(f"{what} {n}"))["text"] for n in range(count)]


async def heard(live: Live, last: str) -> list[str]:
    """What comes until the last one has: texts, and RESYNC for each resync."""
    found: list[str] = []
    async with asyncio.timeout(FAIL_OVER_SECONDS):
        while not found or found[-1] != last:
            event = await live.event()
            found.append(event["edge"]["node"]["text"] if "edge" in event else "RESYNC")
    return found


async def whole(servers: Servers) -> None:
    """Wait until every slot is served by a primary that answers."""
    async with asyncio.timeout(FAIL_OVER_SECONDS):
        while True:
            try:
                await servers.client.slots.refresh()
                for node in await servers.client.primaries():
                    await node.ping()
                return
            except RedisError:
                await asyncio.sleep(0.05)


async def world(perch: Perch, servers: Servers, hit: Address) -> tuple[Person, Person, Person]:
    """An author, a follower whose timeline is at that primary, and another one elsewhere."""
    away = next(address for address in await servers.calm() if address != hit)
    author, far = await servers.person(perch, away), await servers.person(perch, away)
    near = await servers.person(perch, hit)
    for reader in (near, far):
        await reader.follow(author)
    await perch.settle()
    return author, near, far


async def test_a_killed_primary_costs_its_readers_a_resync_and_the_others_nothing(
    perch: Perch, servers: Servers
) -> None:
    hit = (await servers.calm())[-1]
    author, near, far = await world(perch, servers, hit)
    async with AsyncExitStack() as stack:
        lives = [await stack.enter_async_context(one.live((await one.home())["liveCursor"])) for one in (near, far)]
        await servers.kill(hit)
        texts = await said(author, 5, "while it is away")
        # They get each, in order, and nothing else; and its own readers have their pages from MongoDB.
        assert await heard(lives[1], texts[-1]) == texts
        assert (await near.texts())[:5] == texts[::-1]
        await perch.settle()
        await servers.of[hit].start()
        await whole(servers)
        assert await lives[0].resync() == "STATE_LOST"
        async with asyncio.timeout(FAIL_OVER_SECONDS):
            while not (await near.home())["liveCursor"] or await passed_over(servers):
                await asyncio.sleep(0.05)
        after = await said(author, 1, "after")
        assert set(await heard(lives[0], after[0])) <= {"RESYNC", *texts, *after}
        assert await heard(lives[1], after[0]) == after
        assert (await near.texts())[:6] == [*after, *texts[::-1]]


async def passed_over(servers: Servers) -> bool:
    return bool(await servers.redis.exists(keys.MISSED) or await servers.redis.exists(keys.CLEARING))


async def test_a_promoted_replica_is_emptied_of_what_it_may_have_missed(perch: Perch, servers: Servers) -> None:
    hit = (await servers.calm())[0]
    author, near, far = await world(perch, servers, hit)
    async with (
        near.live((await near.home())["liveCursor"]) as live,
        far.live((await far.home())["liveCursor"]) as other,
    ):
        # What a fail-over does to writes that the replica never saw: the set is kept, and lacks one.
        await servers.kill(hit)
        async with asyncio.timeout(FAIL_OVER_SECONDS):
            while (now := await servers.primary_of(near)) == hit:
                await asyncio.sleep(0.05)
        assert now in servers.of
        texts = await said(author, 3, "to the promoted")
        assert await heard(other, texts[-1]) == texts
        async with asyncio.timeout(FAIL_OVER_SECONDS):
            while (await live.event())["__typename"] != "TimelineResync":
                pass
        assert (await near.texts())[:3] == texts[::-1]
        after = await said(author, 1, "after")
        assert "RESYNC" not in await heard(other, after[0])
        await heard(live, after[0])
    await servers.of[hit].start()


async def test_what_is_passed_over_is_noted_and_emptied_when_the_primary_answers_again(servers: Servers) -> None:
    """Below the front door, in a database of its own."""
    redis: Any = for_workers(servers.url.removesuffix("/0") + "/9")
    try:
        await redis.flushdb()
        hit, other = await servers.calm()
        slots = await servers.client.slots.of_each()
        held, kept = [
            next(n for n in range(1000) if slot_of(keys.timeline(n)) in slots[address]) for address in (hit, other)
        ]
        calls = [
            ((keys.timeline(reader),), ("x", 10, 14, 10, 1000, "+", 7, "", keys.tail(reader)))
            for reader in (held, kept)
        ]
        for reader in (held, kept):
            await redis.rpush(keys.timeline(reader), "floor:0")
        primaries = Primaries(redis)
        await primaries.look(redis)
        with silent(redis.slots.node(hit)):
            # One script each: the first is passed over, the second is run.
            assert await Scripts(redis).run_each("deliver", calls) == [None, 0]
            assert await redis.smembers(keys.MISSED) == {str(slot_of(keys.timeline(held)))}
            # As long as it does not answer, it stays noted.
            await primaries.look(redis)
        assert await redis.lrange(keys.timeline(held), 0, -1) == ["floor:0"]
        await primaries.look(redis)
        assert not await redis.exists(keys.timeline(held))
        assert await redis.lrange(keys.timeline(kept), 0, -1) == ["7", "floor:0"]
        assert not await redis.exists(keys.MISSED)
        assert not await redis.exists(keys.CLEARING)
    finally:
        await redis.flushdb()
        await redis.aclose()


async def test_the_relay_begins_again_when_the_primary_of_the_events_is_emptied(perch: Perch, servers: Servers) -> None:
    author, near, far = await world(perch, servers, (await servers.calm())[0])
    texts = await said(author, 3, "before")
    events = servers.client.slots.node(await servers.client.slots.owner(slot_of(keys.RELAY_MARK)))
    await events.flushall()
    texts += await said(author, 3, "behind")
    await perch.settle()
    for reader in (near, far):
        # MongoDB gives a page the reader's own tweets only: what it shows of the author was pushed or merged.
        assert (await reader.texts())[:6] == texts[::-1]


class Move:
    """A slot on its way to another primary."""

    def __init__(self, servers: Servers, slot: int, home: Address, to: Address) -> None:
        self.slot, self.to, self.slots = slot, to, servers.client.slots
        self.source, self.target = self.slots.node(home), self.slots.node(to)
        self.source_id, self.target_id = self.slots.id_of(home), self.slots.id_of(to)

    async def at_once(self) -> None:
        where = ("SLOTSRANGE", self.slot, self.slot, "NODE", self.target_id)
        await self.source.execute_command("CLUSTER", "MIGRATESLOTS", *where)
        await self.arrived()

    async def key_by_key(self) -> None:
        await self.begin()
        await self.end()

    async def begin(self) -> None:
        await self.target.execute_command("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.source_id)
        await self.source.execute_command("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.target_id)

    async def send(self, *names: str) -> None:
        await self.source.execute_command("MIGRATE", *self.to, "", 0, 2000, "REPLACE", "KEYS", *names)

    async def end(self) -> None:
        while names := await self.source.execute_command("CLUSTER", "GETKEYSINSLOT", self.slot, 1):
            await self.send(*names)
        for node in (self.target, self.source):
            await node.execute_command("CLUSTER", "SETSLOT", self.slot, "NODE", self.target_id)
        await self.arrived()

    async def arrived(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.slots.owner(self.slot) != self.to:
                await self.slots.refresh()


async def test_an_entry_whose_reader_is_half_way_to_another_primary_is_not_half_written(servers: Servers) -> None:
    home, other = await servers.calm()
    slots = await servers.client.slots.of_each()
    reader = next(n for n in range(1000) if slot_of(keys.timeline(n)) in slots[home])
    timeline, presence, stream = keys.timeline(reader), keys.presence(reader), keys.reader_stream(reader)
    push = [((timeline,), ("x", 10, 14, 10, 1000, "+", 7, "", keys.tail(reader)))]
    await servers.redis.rpush(timeline, "floor:0")
    await servers.redis.hset(presence, "last", "a")
    move = Move(servers, slot_of(timeline), home, other)
    await move.begin()
    await move.send(presence)
    with pytest.raises(RedisError) as refused:
        await Scripts(servers.redis).run_each("deliver", push)
    assert passes_by_itself(refused.value)
    # Or the next try would find it there, and number nothing.
    assert await servers.redis.lrange(timeline, 0, -1) == ["floor:0"]
    await move.send(timeline)
    with pytest.raises(RedisError):
        await Scripts(servers.redis).run_each("deliver", push)
    await move.end()
    assert await Scripts(servers.redis).run_each("deliver", push) == [1]
    assert [fields["d"] for _, fields in await servers.redis.xrange(stream)] == ["+:7"]
    await servers.redis.unlink(timeline, presence, stream)
    await Move(servers, move.slot, other, home).at_once()


async def moved_meanwhile(perch: Perch, servers: Servers, moved: Callable[[Move], Awaitable[None]]) -> list[str]:
    """What a reader hears while their slot goes to another primary and comes back, their author writing all along."""
    home, other = await servers.calm()
    author, reader = await servers.person(perch, other), await servers.person(perch, home)
    await reader.follow(author)
    await perch.settle()
    async with reader.live((await reader.home())["liveCursor"]) as live:
        writing = asyncio.create_task(said(author, 15, "on the move"))
        for where in ((home, other), (other, home)):
            await moved(Move(servers, slot_of(keys.timeline(number(reader))), *where))
        texts = [*await writing, *await said(author, 1, "at rest")]
        found = await heard(live, texts[-1])
        # What is missing was announced behind it, and nothing comes twice or out of order.
        told = [text for text in found if text != "RESYNC"]
        last_resync = max((at for at, text in enumerate(found) if text == "RESYNC"), default=-1)
        assert told == [text for text in texts if text in told]
        assert found[last_resync + 1 :] == texts[len(texts) - len(found) + last_resync + 1 :]
        await perch.settle()
        assert (await reader.texts(100))[: len(texts)] == texts[::-1]
    return found


async def test_a_slot_that_moves_as_a_whole_under_a_live_reader_makes_no_hole(perch: Perch, servers: Servers) -> None:
    assert "RESYNC" not in await moved_meanwhile(perch, servers, Move.at_once)


async def test_a_slot_that_moves_key_by_key_under_a_live_reader_makes_no_hole(perch: Perch, servers: Servers) -> None:
    await moved_meanwhile(perch, servers, Move.key_by_key)

"""A place in the stream lives and dies with those who watch; what never came is found; what cannot be shown is told."""

import asyncio
from typing import Any, cast

import pytest

from datastore import ids
from realtime import keys
from realtime.pipeline import open_rooms
from realtime.reader import Reader, Source
from realtime.timelines import Bounds
from schema import cursors, globalid
from tests.perch import PATIENCE_SECONDS, Perch, Person, serving

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
async def pair(perch: Perch) -> tuple[Person, Person]:
    """A reader who follows an author, and has a page."""
    reader, author = await perch.persons(2)
    await reader.follow(author)
    await perch.settle()
    await reader.home()
    return reader, author


def id_of(person: Person) -> int:
    return globalid.of_type(person.id, "User")


async def test_an_open_subscription_keeps_its_place_and_without_one_it_expires(
    perch: Perch, pair: tuple[Person, Person]
) -> None:
    reader, author = pair
    name = keys.presence(id_of(reader))
    async with serving(perch.settings.model_copy(update={"presence_seconds": 1})) as brief:
        reader.perch = brief
        after = (await reader.home())["liveCursor"]
        async with reader.live(after) as live:
            left_ms, renewals = await perch.redis.pttl(name), 0
            async with asyncio.timeout(PATIENCE_SECONDS):
                # Renewed every 0.2 s: so often takes longer than a second.
                while renewals < 8:
                    before, left_ms = left_ms, await perch.redis.pttl(name)
                    assert left_ms > 0
                    renewals += left_ms > before
                    await asyncio.sleep(0.01)
            await author.post("still the same chain")
            assert await live.added() == "still the same chain"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await perch.redis.exists(name):
                await asyncio.sleep(0.05)
        async with reader.live(after) as live:
            assert await live.resync() == "STATE_LOST"


async def test_an_event_whose_message_never_came_is_found_by_the_sweep(
    perch: Perch, pair: tuple[Person, Person]
) -> None:
    reader, author = pair
    names = keys.presence(id_of(reader)), keys.reader_stream(id_of(reader))
    async with reader.live((await reader.home())["liveCursor"]) as live:
        await author.post("by message")
        assert await live.added() == "by message"
        last = await perch.redis.hget(names[0], "last")
        # Numbered as lua/common.lua does it, but nobody is told.
        await perch.redis.xadd(names[1], {"p": last or "", "t": "f0.1", "d": "s:FOLLOWS_CHANGED"})
        await perch.redis.hset(names[0], "last", "f0.1")
        assert await live.resync() == "FOLLOWS_CHANGED"
        await author.post("the chain goes on")
        assert await live.added() == "the chain goes on"


async def test_an_entry_below_the_floor_is_announced_and_the_page_shows_it(
    perch: Perch, pair: tuple[Person, Person]
) -> None:
    reader, author = pair
    async with reader.live((await reader.home())["liveCursor"]) as live:
        floor = ids.first_at(ids.now_ms() + DAY_MS)
        await perch.redis.lset(keys.timeline(id_of(reader)), -1, f"floor:{floor}")
        await author.post("below the floor")
        assert await live.resync() == "WINDOW_EXCEEDED"
        assert "below the floor" in await reader.texts()


async def test_a_timeline_that_is_dropped_takes_the_place_along(perch: Perch, pair: tuple[Person, Person]) -> None:
    reader, author = pair
    async with reader.live((await reader.home())["liveCursor"]) as live:
        await perch.redis.unlink(keys.timeline(id_of(reader)))
        await author.post("finds no timeline")
        assert await live.resync() == "STATE_LOST"
        assert "finds no timeline" in await reader.texts()
        await author.post("after the resync")
        assert await live.added() == "after the resync"


@pytest.mark.parametrize("begun_by", ["a reader", "an entry"])
async def test_a_chain_of_top_users_that_begins_anew_knows_no_place_of_the_old_one(perch: Perch, begun_by: str) -> None:
    services: Any = perch.endpoint._services
    top_users = open_rooms(perch.mongo, perch.redis, 1, Bounds.of(perch.settings), 8).top_users
    author_id, reader_id = 1 << 40, 1 << 41
    await services.follows.add(reader_id, author_id, 0)
    old = await services.hub.top_position()
    await top_users.announce(author_id, 1 << 42)
    assert [said.entry_id for _, said in (await services.hub.missed_of_top_users(reader_id, old))[0]] == [1 << 42]
    # Evicted alone: the stream is still there.
    await perch.redis.unlink(keys.TOP_PRESENCE)
    if begun_by == "a reader":
        await services.hub.top_position()
    await top_users.announce(author_id, (1 << 42) + 4096)
    assert (await services.hub.missed_of_top_users(reader_id, old))[0] is None


class Held:
    """What a reader reads from: a hub, whose answers about the reader's own stream wait until they are let go."""

    def __init__(self, hub: Any) -> None:
        self._hub, self.sweep_seconds = hub, hub.sweep_seconds
        self.read, self.let_go = asyncio.Event(), asyncio.Event()
        self.missed_of_top_users = hub.missed_of_top_users

    async def missed(self, reader_id: int, position: str) -> Any:
        found = await self._hub.missed(reader_id, position)
        self.read.set()
        await self.let_go.wait()
        return found


async def test_what_comes_while_the_stream_is_read_needs_no_sweep_to_be_found(
    perch: Perch, pair: tuple[Person, Person]
) -> None:
    reader, author = pair
    async with serving(perch.settings.model_copy(update={"sweep_seconds": 600})) as patient:
        hub: Any = patient.endpoint._services.hub
        source = Held(hub)
        held = Reader(id_of(reader), cast(Source, source))
        events: Any = held.events(cursors.decode_live((await reader.home())["liveCursor"]))
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            await hub.enter(held)
            first = asyncio.create_task(anext(events))
            await source.read.wait()
            posted = await author.post("while it was read")
            while not held.own.queue:
                await asyncio.sleep(0.01)
            source.let_go.set()
            _, said = await first
            while said.reason:  # handled at least once: the follow may be told again
                _, said = await anext(events)
        assert said.entry_id == globalid.of_type(posted["id"], "Tweet")
        await events.aclose()
        await hub.leave(held)

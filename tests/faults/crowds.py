"""Crowds: readers and the writers whom they follow, and the verdict on what those readers see in the end."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from datastore import ids
from realtime import keys
from schema import globalid
from tests.faults.box import REPAIR_SECONDS, Box
from tests.faults.writers import Writers, all_pages, by_author
from tests.perch import Live, Person


async def crowd(box: Box, readers: int = 1, writers: int = 4) -> tuple[list[Person], list[Person]]:
    """Readers who follow all of the writers, and whose timelines are kept."""
    people = await box.perch.persons(readers + writers)
    for reader in people[:readers]:
        for author in people[readers:]:
            await reader.follow(author)
        await reader.home()
    await box.perch.settle()
    return people[:readers], people[readers:]


@dataclass(frozen=True)
class Audience:
    """Followers by the thousand, of whom nothing is there but their follows and, of some, a timeline that is kept."""

    box: Box
    timelines: list[str]

    async def hold(self, newest: int) -> set[tuple[str, ...]]:
        """What their timelines say: so many of the newest entries. One, if all say the same."""
        async with self.box.perch.redis.pipeline(transaction=False) as pipe:
            for name in self.timelines:
                pipe.lrange(name, 0, newest - 1)
            return {tuple(entry for entry in entries if entry.isdigit()) for entries in await pipe.execute()}


@asynccontextmanager
async def audience(
    box: Box, authors: Sequence[Person], count: int, kept_of: int = 1, first: int = 1
) -> AsyncIterator[Audience]:
    """So many, from the `first` of all on, follow each of the authors; of one in `kept_of` a timeline is kept until the
    end, at first empty. The follows stay: the end of each would be an event."""
    mongo, now_ms = box.perch.mongo, ids.now_ms()
    author_ids = [globalid.of_type(author.id, "User") for author in authors]
    followers = range(first, first + count)
    edges = [{"a": author, "f": follower} for author in author_ids for follower in followers]
    await mongo.follows.insert_many([{"_id": edge, "at": now_ms, "imported": True} for edge in edges])
    await mongo.users.update_many({"_id": {"$in": author_ids}}, {"$inc": {"followers": count}})
    timelines = [keys.timeline(follower) for follower in followers[kept_of - 1 :: kept_of]]
    async with box.perch.redis.pipeline(transaction=False) as pipe:
        for name in timelines:
            pipe.rpush(name, "floor:0")
        await pipe.execute()
    try:
        yield Audience(box, timelines)
    finally:
        await box.perch.redis.unlink(*timelines)


async def judged(writers: Writers, reader: Person) -> None:
    """Each accepted tweet is in the reader's timeline, once and in order, and nothing else of theirs is."""
    await writers.box.perch.settle()
    assert by_author(await all_pages(reader), writers.authors) == writers.acked


async def gather(reader: Person, live: Live, count: int) -> list[str]:
    """What a client that follows the documented recipe has been shown, in order, until that is `count` texts.

    A follow whose worker died is handled again, and announced again: the page then stands for what its merge brought.
    """
    texts: list[str] = []
    while len(texts) < count:
        event = await live.event(REPAIR_SECONDS)
        if event["__typename"] == "TimelineResync":
            assert event["reason"] == "FOLLOWS_CHANGED"
            texts = (await all_pages(reader))[::-1]
        elif (text := event["edge"]["node"]["text"]) not in texts[-5:]:
            texts.append(text)
    return texts

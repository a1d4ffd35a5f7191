"""Retweets: at most one alive for each author and tweet, whoever dies between two writes, and a count that follows."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastore import ids
from datastore.mongo import Mongo
from datastore.records import Tweet
from datastore.retweets import FINISHED_WITHIN_MS, Retweets, pair_of
from datastore.tweets import new_doc

NOW_MS = 1_780_000_000_000
AUTHOR, FAN = 11, 12
# Commands of a process that are sent only when it is its turn.
_COMMANDS = ("insert_one", "find_one", "update_one", "move_one", "delete_one")


class DeathError(Exception):
    """The process ends here."""


@dataclass
class Process:
    """Rooms whose every command waits for its turn, and that may die before or behind a write."""

    mongo: Mongo
    # How many writes it lives, and whether the one behind them is still carried out.
    writes: int
    last_is_done: bool
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    waits: asyncio.Event = field(default_factory=asyncio.Event)
    # By how many the living have become more by its hand and were not counted: at its end, what was lost with it.
    lost: int = 0

    def wrote(self, collection: str, name: str, answer: Any, document: Any) -> None:
        if (collection, name) == ("retweets", "insert_one"):
            self.lost += "alive" in document
        if (collection, name) == ("retweets", "update_one"):
            self.lost -= answer.modified_count
        if (collection, name) == ("tweets", "move_one"):
            self.lost = 0

    def __getattr__(self, name: str) -> "Gated":
        return Gated(self, getattr(self.mongo, name))


@dataclass
class Gated:
    """A collection."""

    process: Process
    real: Any

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.real, name)
        return self._gated(name, call) if name in _COMMANDS else call

    def _gated(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*asked: Any, **options: Any) -> Any:
            process = self.process
            process.waits.set()
            await process.turn.wait()
            process.turn.clear()
            process.writes -= name != "find_one"
            if process.writes < 0 and not process.last_is_done:
                raise DeathError
            done = await call(*asked, **options)
            process.wrote(self.real.name, name, done, asked[0])
            if process.writes < 0:
                raise DeathError
            return done

        return run


@pytest.fixture
async def tweet(mongo: Mongo) -> Tweet:
    """By AUTHOR, with no retweet."""
    tweet_id = ids.new(NOW_MS, AUTHOR)
    await mongo.tweets.insert_one(new_doc(tweet_id, AUTHOR, "worth passing on"))
    return Tweet(tweet_id, AUTHOR, "worth passing on", None, None, 0, 0, 0)


async def alive(mongo: Mongo, tweet: Tweet) -> list[int]:
    """Ids of FAN's living retweets of it."""
    found = mongo.retweets.find({"author": FAN, "tweet": tweet.id, "alive": True})
    return [doc["_id"] async for doc in found]


async def counted(mongo: Mongo, tweet: Tweet) -> tuple[int, int]:
    """(retweets, engagement) as the tweet says."""
    doc = await mongo.tweets.find_one({"_id": tweet.id})
    assert doc
    return doc["retweets"], doc["engagement"]


async def holder(mongo: Mongo, tweet: Tweet) -> int | None:
    doc = await mongo.retweet_pairs.find_one({"_id": pair_of(FAN, tweet.id)})
    return doc["of"] if doc else None


# ---------------------------------------------------------------- by itself


async def test_a_retweet_is_one_however_often_it_is_asked_for_at_once(mongo: Mongo, tweet: Tweet) -> None:
    done = await asyncio.gather(*(Retweets(mongo).add(FAN, tweet, NOW_MS + n % 3) for n in range(20)))
    assert Counter(done) == {True: 1, False: 19}
    assert await alive(mongo, tweet) == [await holder(mongo, tweet)]
    undone = await asyncio.gather(*(Retweets(mongo).remove(FAN, tweet.id) for _ in range(20)))
    assert Counter(undone) == {True: 1, False: 19}
    assert (await alive(mongo, tweet), await holder(mongo, tweet), await counted(mongo, tweet)) == ([], None, (0, 0))


async def test_a_pair_whose_retweet_never_came_is_finished_under_its_id_and_an_old_one_begun_anew(
    mongo: Mongo, tweet: Tweet
) -> None:
    fresh = ids.new(NOW_MS, FAN, ids.Kind.RETWEET)
    await mongo.retweet_pairs.insert_one({"_id": pair_of(FAN, tweet.id), "of": fresh})
    assert await Retweets(mongo).add(FAN, tweet, NOW_MS + 5)
    assert await alive(mongo, tweet) == [fresh]
    assert await Retweets(mongo).remove(FAN, tweet.id)
    old = ids.new(NOW_MS + 9, FAN, ids.Kind.RETWEET)
    await mongo.retweet_pairs.insert_one({"_id": pair_of(FAN, tweet.id), "of": old})
    later = NOW_MS + 10 + FINISHED_WITHIN_MS
    assert await Retweets(mongo).add(FAN, tweet, later)
    (made,) = await alive(mongo, tweet)
    assert ids.at_ms(made) >= later
    # Whoever was frozen with the old one comes too late.
    assert not await Retweets(mongo)._insert(old, tweet, pair_of(FAN, tweet.id))
    assert await counted(mongo, tweet) == (1, 2)


async def test_of_retweets_that_clash_by_their_id_each_gets_its_own(
    mongo: Mongo, tweet: Tweet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "_random", Zero())
    others = [replace(tweet, id=tweet.id + 4096 * n) for n in range(5)]
    assert all(await asyncio.gather(*(Retweets(mongo).add(FAN, other, NOW_MS) for other in others)))
    made = [await alive(mongo, other) for other in others]
    assert sorted(ids.at_ms(each) for (each,) in made) == [NOW_MS + n for n in range(5)]
    assert [[await holder(mongo, other)] for other in others] == made


class Zero:
    """Random bits that are not."""

    def getrandbits(self, count: int) -> int:
        return 0


# ---------------------------------------------------------------- several at once, and they die

# What a process does: to retweet or to undo, and how much later than the one before.
DEEDS = st.lists(st.tuples(st.booleans(), st.sampled_from([0, 1, FINISHED_WITHIN_MS + 1])), min_size=1, max_size=4)
# After how many writes it dies, and whether the last one is still carried out.
DEATHS = st.one_of(st.none(), st.tuples(st.integers(0, 6), st.booleans()))


async def work(process: Process, tweet: Tweet, deeds: Sequence[tuple[bool, int]]) -> None:
    rooms, now_ms = Retweets(cast(Mongo, process)), NOW_MS
    with contextlib.suppress(DeathError):
        for adds, later_ms in deeds:
            now_ms += later_ms
            await (rooms.add(FAN, tweet, now_ms) if adds else rooms.remove(FAN, tweet.id))


async def one_command(process: Process, task: asyncio.Task[None]) -> None:
    """Let a process send its next command, and wait until it has come to the one behind, or to its end."""
    process.waits.clear()
    process.turn.set()
    arrived = asyncio.create_task(process.waits.wait())
    await asyncio.wait({task, arrived}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
    arrived.cancel()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(DEEDS, DEATHS), min_size=2, max_size=3),
    st.lists(st.integers(0, 2), max_size=60),
)
async def test_in_any_order_and_whoever_dies_one_is_alive_at_most_and_the_count_is_that_of_the_living(
    mongo: Mongo, programs: list[tuple[list[tuple[bool, int]], tuple[int, bool] | None]], turns: list[int]
) -> None:
    tweet = Tweet(ids.new(NOW_MS, AUTHOR), AUTHOR, "words", None, None, 0, 0, 0)
    await mongo.tweets.replace_one({"_id": tweet.id}, new_doc(tweet.id, AUTHOR, "words"), upsert=True)
    for name in ("retweets", "retweet_pairs"):
        await mongo.db[name].delete_many({})
    processes = [Process(mongo, *(death or (1000, True))) for _, death in programs]
    tasks = [
        asyncio.create_task(work(process, tweet, deeds))
        for process, (deeds, _) in zip(processes, programs, strict=True)
    ]
    for process in processes:
        await process.waits.wait()
    while waiting := [at for at, task in enumerate(tasks) if not task.done()]:
        at = turns.pop() % len(tasks) if turns else waiting[0]
        if at in waiting:
            await one_command(processes[at], tasks[at])
            assert len(await alive(mongo, tweet)) <= 1
    await asyncio.gather(*tasks)
    found, lost = await alive(mongo, tweet), sum(process.lost for process in processes)
    assert await counted(mongo, tweet) == (len(found) - lost, 2 * (len(found) - lost))
    # Nothing that the dead have left is in anybody's way.
    after = Retweets(mongo)
    assert await after.remove(FAN, tweet.id) is bool(found)
    assert (await alive(mongo, tweet), await holder(mongo, tweet)) == ([], None)
    assert await after.add(FAN, tweet, NOW_MS)
    assert await alive(mongo, tweet) == [await holder(mongo, tweet)]

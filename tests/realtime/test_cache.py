"""Copies: never older than the last drop, whoever stalls where; every field and nothing private; bounded; optional."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from datastore import ids
from datastore.likes import Likes
from datastore.mongo import is_outage, within
from datastore.records import Tweet, User
from datastore.retweets import Retweets
from datastore.tweets import Tweets
from datastore.users import Users
from realtime import keys
from realtime.cache import Cache, CacheBounds
from realtime.connect import for_requests
from realtime.copies import Copies, ProcessCopies, tweet_copy, tweet_of, user_copy, user_of
from realtime.scripts import Scripts
from tests.realtime.conftest import TOP_USER_THRESHOLD, House
from tests.realtime.test_pipeline import relay, running, settled, worker

number = st.integers(0, ids.MAX_ID)
texts = st.text(st.characters(exclude_categories=["Cs"]))


def cache_of(house: House, tweets: Tweets | None = None, bounds: CacheBounds | None = None) -> Cache:
    """One process's cache."""
    return Cache(Scripts(house.redis), tweets or house.tweets, house.rooms.users, bounds)


# ---------------------------------------------------------------- what a copy holds


@given(
    st.builds(Tweet, number, number, texts, st.none() | number, st.none() | number, number, number, number,
              st.lists(texts).map(tuple), st.lists(number).map(tuple))
)  # fmt: skip
def test_a_copy_of_a_tweet_is_the_whole_tweet(tweet: Tweet) -> None:
    assert tweet_of(tweet.id, tweet_copy(tweet)) == tweet


@given(st.builds(User, number, texts, texts, texts, number, number, number, st.booleans()))
def test_a_copy_of_a_profile_is_the_whole_profile(user: User) -> None:
    assert user_of(user.id, user_copy(user)) == user


async def test_nothing_private_is_in_a_copy(house: House) -> None:
    account = await house.rooms.users.add("ann", "ann@perch.example", "a password hash", "Ann", ids.now_ms())
    await cache_of(house).users([account.user.id])
    kept = await house.redis.get(keys.user_copy(account.user.id))
    assert "ann" in kept
    assert "perch.example" not in kept
    assert "hash" not in kept


async def test_what_another_version_wrote_counts_as_missing(house: House) -> None:
    tweet = await house.tweet(1)
    for strange in ("[1]", "[", "[{}]", '["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]'):
        await house.redis.set(keys.tweet_copy(tweet.id), strange)
        assert await cache_of(house).tweets([tweet.id]) == [tweet], strange


# ---------------------------------------------------------------- reading


async def test_who_asks_at_one_moment_shares_the_scripts_and_gets_what_they_asked_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = [await house.tweet(author) for author in house.people(3)]
    cache, run_over, ran = cache_of(house), Scripts.run_over, list[tuple[str, int]]()

    async def noted(scripts: Scripts, name: str, names: Sequence[str], *args: Any, **more: Any) -> list[Any]:
        ran.append((name, len(names)))
        return await run_over(scripts, name, names, *args, **more)

    monkeypatch.setattr(Scripts, "run_over", noted)
    for _ in ("from MongoDB", "from Redis"):
        first, second = await asyncio.gather(cache.tweets([one.id, two.id]), cache.tweets([three.id, two.id]))
        assert (first, second) == ([one, two], [three, two])
    assert ran == [("copies_read", 3), ("copies_fill", 3), ("copies_read", 3)]


async def test_who_is_out_of_time_waits_no_longer_and_takes_nobody_along(house: House) -> None:
    one, two = [await house.tweet(author) for author in house.people(2)]
    tweets = Stalled(house.clients.mongo).stalled()
    cache = cache_of(house, tweets)

    async def hasty() -> Any:
        with within(0.05):
            return await cache.tweets([one.id])

    # The hasty one asks first: the read that they share must not be theirs.
    asked = [asyncio.create_task(call) for call in (hasty(), cache.tweets([two.id, one.id]))]
    told, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    assert told == {asked[0]}
    assert is_outage(asked[0].exception())
    tweets.may_go_on.set()
    assert await asked[1] == [two, one]


async def test_hot_tweets_and_people_come_without_mongodb_in_order_and_absent_ones_as_none(house: House) -> None:
    tweets = [await house.tweet(author) for author in house.people(3)]
    user = (await house.rooms.users.add("ann", "ann@perch.example", "hash", "Ann", ids.now_ms())).user
    cache, nobody = cache_of(house), ids.new(ids.now_ms())
    wanted = [tweets[2].id, nobody, tweets[0].id, tweets[2].id]
    expected = [tweets[2], None, tweets[0], tweets[2]]
    assert await cache.tweets(wanted) == expected
    assert await cache.users([nobody, user.id]) == [None, user]
    # The control: MongoDB has none of them any more.
    await house.clients.mongo.tweets.delete_many({})
    await house.clients.mongo.users.delete_many({})
    assert await cache_of(house).tweets(wanted) == expected
    assert await cache_of(house).users([nobody, user.id]) == [None, user]
    await house.redis.flushdb()
    assert await cache_of(house).tweets(wanted) == [None] * 4
    assert 0 < await house.redis.pttl(keys.tweet_copy(nobody)) <= 1000


async def test_copies_in_redis_and_leases_have_an_end(house: House) -> None:
    tweet = await house.tweet(1)
    await cache_of(house, bounds=CacheBounds(life_ms=60_000)).tweets([tweet.id])
    assert 0 < await house.redis.pttl(keys.tweet_copy(tweet.id)) <= 60_000
    await cache_of(house).drop(1, [tweet.id])
    assert 0 < await house.redis.pttl(keys.wrote(1)) <= 2_000


async def test_forgetting_takes_all_copies_and_nothing_else(house: House) -> None:
    tweet, cache = await house.tweet(1), cache_of(house)
    user = (await house.rooms.users.add("ann", "ann@perch.example", "hash", "Ann", ids.now_ms())).user
    await cache.tweets([tweet.id])
    await cache.users([user.id])
    await house.timelines.rebuild(1)
    assert await house.redis.dbsize() == 3
    await cache.forget_all()
    assert await house.redis.keys() == [keys.timeline(1)]


async def test_hits_and_misses_are_exported_for_each_layer_and_kind(house: House) -> None:
    def counted(layer: str, outcome: str) -> float:
        labels = {"layer": layer, "kind": "tweet", "outcome": outcome}
        return REGISTRY.get_sample_value("perch_copy_reads_total", labels) or 0

    tweet, cache = await house.tweet(1), cache_of(house, bounds=CacheBounds(process_ms=60_000))
    looks = [(layer, outcome) for layer in ("process", "redis") for outcome in ("hit", "miss")]
    before = [counted(*look) for look in looks]
    await cache.tweets([tweet.id], Copies.ALL)  # two misses
    await cache.tweets([tweet.id], Copies.ALL)  # a hit of the process
    await cache.tweets([tweet.id], Copies.SHARED)  # a hit of Redis
    assert [counted(*look) - was for look, was in zip(looks, before, strict=True)] == [1, 1, 1, 1]


# ---------------------------------------------------------------- the race of fill and drop


class Stalled(Tweets):
    """Tweets whose reader is held up behind its read, until it may go on."""

    async def get_many(self, tweet_ids: Sequence[int]) -> list[Tweet | None]:
        found = await super().get_many(tweet_ids)
        self.has_read.set()
        await self.may_go_on.wait()
        return found

    def stalled(self) -> "Stalled":
        self.has_read, self.may_go_on = asyncio.Event(), asyncio.Event()
        return self


step = st.one_of(
    st.just("stall"),
    st.tuples(st.just("go on"), st.integers(0, 2)),
    st.sampled_from(["write", "delete", "read", "evict", "worker drops", "flush"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(step, min_size=3, max_size=25))
async def test_no_reader_however_long_held_up_puts_back_what_a_write_has_changed(
    house: House, steps: list[str | tuple[str, int]]
) -> None:
    tweet = await house.tweet(1)
    writer, held_up = cache_of(house), list[tuple[Stalled, asyncio.Task[list[Tweet | None]]]]()
    key, likes = keys.tweet_copy(tweet.id), 0
    for what in [*steps, *[("go on", 0)] * len(steps)]:
        if what == "stall":
            source = Stalled(house.clients.mongo).stalled()
            reading = asyncio.create_task(cache_of(house, source).tweets([tweet.id]))
            # It may find a copy, and then it never reads.
            reached = asyncio.create_task(source.has_read.wait())
            await asyncio.wait({reading, reached}, return_when="FIRST_COMPLETED")
            reached.cancel()
            held_up.append((source, reading))
        elif isinstance(what, tuple) and held_up:
            source, reading = held_up.pop(what[1] % len(held_up))
            source.may_go_on.set()
            await reading
        elif what == "write":
            likes += 1
            await house.clients.mongo.tweets.update_one({"_id": tweet.id}, {"$inc": {"likes": 1}})
            await writer.drop(2, [tweet.id])
        elif what == "delete":
            await house.clients.mongo.tweets.update_one({"_id": tweet.id}, {"$unset": {"alive": ""}})
            likes = -1
            await writer.drop(1, [tweet.id])
        elif what == "worker drops":
            writer.gather_tweet(tweet.id)
            await writer.flush()
        elif what == "evict":
            await house.redis.delete(key)
        elif what == "flush":
            await house.redis.flushdb()
        elif what == "read":
            await cache_of(house).tweets([tweet.id])
        if likes < 0:
            assert await cache_of(house).tweets([tweet.id]) == [None]
            likes = -1_000  # writes go on, the tombstone stays
        else:
            assert await cache_of(house).tweets([tweet.id]) == [replace(tweet, like_count=likes)]
    assert not held_up


# ---------------------------------------------------------------- the process's own


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


A_TWEET = Tweet(7, 1, "text", None, None, 0, 0, 0)


def test_a_process_keeps_a_copy_from_when_its_reading_began_and_never_more_than_its_bound() -> None:
    clock = Clock()
    kept: ProcessCopies[Tweet] = ProcessCopies(3, 500, clock)
    began = kept.now()
    clock.now += 0.3
    kept.put(7, A_TWEET, began)
    assert kept.get(7) == A_TWEET
    clock.now += 0.21
    assert kept.get(7) is None
    for other in range(100):
        kept.put(other, A_TWEET, kept.now())
        clock.now += 0.001
        assert len(kept) <= 3
    assert [other for other in range(100) if kept.get(other)] == [97, 98, 99]


def test_what_was_read_before_a_drop_is_not_kept_behind_it() -> None:
    clock = Clock()
    kept: ProcessCopies[Tweet] = ProcessCopies(3, 500, clock)
    began = kept.now()
    clock.now += 0.1
    kept.drop(7)
    kept.put(7, A_TWEET, began)
    assert kept.get(7) is None
    clock.now += 0.1
    kept.put(7, A_TWEET, kept.now())
    assert kept.get(7) == A_TWEET


async def test_others_see_a_change_soon_though_their_process_has_a_copy(house: House) -> None:
    tweet, bob = await house.tweet(1), house.people(1)[0]
    here, elsewhere = cache_of(house), cache_of(house, bounds=CacheBounds(process_ms=1000))
    assert await elsewhere.tweets([tweet.id], Copies.ALL) == [tweet]
    await Likes(house.clients.mongo).add(bob, tweet.id, ids.now_ms())
    # The control: without a drop both layers would go on showing the old count.
    assert await elsewhere.tweets([tweet.id], Copies.SHARED) == [tweet]
    await here.drop(bob, [tweet.id])
    liked = replace(tweet, like_count=1)
    async with asyncio.timeout(1 + 10):
        while await elsewhere.tweets([tweet.id], Copies.ALL) != [liked]:
            await asyncio.sleep(0.02)


async def test_who_has_just_changed_something_is_given_no_copy_of_a_process(house: House) -> None:
    bob, eve = house.people(2)
    for reader in (bob, eve):
        await house.timelines.rebuild(reader)
    assert (await house.timelines.page(bob, 5)).copies is Copies.ALL
    await cache_of(house).drop(bob, [1])
    assert (await house.timelines.page(bob, 5)).copies is Copies.SHARED
    assert (await house.timelines.page(eve, 5)).copies is Copies.ALL
    async with asyncio.timeout(2 + 10):
        while (await house.timelines.page(bob, 5)).copies is not Copies.ALL:
            await asyncio.sleep(0.05)


async def test_who_has_just_changed_something_is_told_from_others_who_ask_at_the_same_moment(house: House) -> None:
    bob, *others = house.people(4)
    cache = cache_of(house)
    await cache.drop(bob, [1])
    calls = (await house.clients.redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert await asyncio.gather(*map(cache.for_reader, (*others, bob))) == [Copies.ALL] * 3 + [Copies.SHARED]
    assert (await house.clients.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == calls + 1


# ---------------------------------------------------------------- a request that died before its drop


Write = Callable[[House, Tweet, User, User], Awaitable[object]]


WRITES: dict[str, Write] = {
    "like": lambda house, tweet, ann, bob: Likes(house.clients.mongo).add(bob.id, tweet.id, ids.now_ms()),
    "retweet": lambda house, tweet, ann, bob: Retweets(house.clients.mongo).add(bob.id, tweet, ids.now_ms()),
    "reply": lambda house, tweet, ann, bob: house.tweets.add(bob.id, "reply", ids.now_ms(), tweet),
    "delete": lambda house, tweet, ann, bob: house.tweets.remove(ann.id, tweet.id),
    "follow": lambda house, tweet, ann, bob: house.follows.add(bob.id, ann.id, ids.now_ms()),
    "profile": lambda house, tweet, ann, bob: Users(house.clients.mongo).update_profile(ann.id, "New", None),
    "promotion": lambda house, tweet, ann, bob: house.rooms.users.switch(ann.id, True, 1),
}


@pytest.mark.parametrize("write", WRITES)
async def test_the_worker_drops_what_a_request_that_died_behind_its_write_did_not(house: House, write: str) -> None:
    ann, bob = [
        (await house.rooms.users.add(name, f"{name}@perch.example", "hash", name, ids.now_ms())).user
        for name in ("ann", "bob")
    ]
    tweet = await house.tweet(ann.id)
    async with running(relay(house), worker(house)):
        await settled(house)
        shown = await showing(house, tweet, ann, bob)
        await WRITES[write](house, tweet, ann, bob)
        await settled(house)
        assert await showing(house, tweet, ann, bob) != shown
    truth = await house.tweets.get_many([tweet.id]), await house.rooms.users.get_many([ann.id, bob.id])
    assert await showing(house, tweet, ann, bob) == truth


async def showing(house: House, tweet: Tweet, *people: User) -> tuple[list[Tweet | None], list[User | None]]:
    """What the cache shows of a tweet and of people."""
    cache = cache_of(house)
    return await cache.tweets([tweet.id]), await cache.users([person.id for person in people])


async def test_a_top_users_new_tweet_is_in_the_cache_before_anybody_reads_it(house: House) -> None:
    author = (await house.rooms.users.add("ann", "ann@perch.example", "hash", "Ann", ids.now_ms())).user.id
    for follower in house.people(TOP_USER_THRESHOLD + 1):
        await house.follows.add(follower, author, ids.now_ms())
    await house.rooms.top_users.promote(author)
    async with running(relay(house), worker(house)):
        tweet = await house.tweet(author)
        await settled(house)
    assert tweet_of(tweet.id, await house.redis.get(keys.tweet_copy(tweet.id))) == tweet


# ---------------------------------------------------------------- without Redis


@asynccontextmanager
async def hung() -> AsyncIterator[str]:
    """A server that takes connections and says nothing."""
    asked, done = list[asyncio.StreamWriter](), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        await done.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        done.set()
        server.close()


@pytest.mark.parametrize("away", [True, False])
async def test_without_redis_mongodb_answers_and_a_drop_fails_nobody(house: House, away: bool) -> None:
    tweet = await house.tweet(1)
    async with hung() as url:
        redis = for_requests("redis://127.0.0.1:1/0" if away else url, timeout_ms=100)
        cache = Cache(Scripts(redis), house.tweets, house.rooms.users)
        assert await cache.tweets([tweet.id], Copies.ALL) == [tweet]
        await house.tweets.remove(1, tweet.id)
        await cache.drop(1, [tweet.id])
        # A process does not show its own copy behind a drop either, whatever became of it in Redis.
        assert await cache.tweets([tweet.id], Copies.ALL) == [None]
        await redis.aclose()

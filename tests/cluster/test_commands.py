"""What one server does in one call, done by several: answers in the order asked, every key reached, budgets kept."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from realtime import keys
from realtime.connect import RedisError, for_requests
from realtime.dead_letters import DeadLetters
from realtime.limits import Action, Budget, Limits
from realtime.scripts import Scripts, scan_step, unlink_matching
from realtime.slots import slot_of
from tests.cluster.conftest import Servers, silent

READERS = range(1, 101)


@pytest.fixture
async def redis(servers: Servers) -> AsyncIterator[Any]:
    """A client of requests, in a database of its own."""
    client = for_requests(servers.url.removesuffix("/0") + "/8", 2000)
    yield client
    await client.aclose()
    async with for_requests(servers.url.removesuffix("/0") + "/8", 2000) as other:
        await other.flushdb()


async def write_all(redis: Any) -> list[str]:
    names = [keys.timeline(reader) for reader in READERS]
    async with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.set(name, name)
        await pipe.execute()
    return names


async def test_a_pipeline_answers_in_the_order_that_was_asked(redis: Any) -> None:
    names = await write_all(redis)
    async with redis.pipeline(transaction=False) as pipe:
        for name in reversed(names):
            pipe.get(name)
        assert await pipe.execute() == names[::-1]


async def test_each_primary_has_its_share_of_the_readers_and_all_of_it_can_be_dropped(redis: Any) -> None:
    names = await write_all(redis)
    counts = [await node.dbsize() for node in await redis.primaries()]
    assert len(counts) == 3
    assert min(counts) > len(READERS) // 6
    assert await redis.dbsize() == sum(counts) == len(READERS)
    assert await redis.unlink(*names[:50], "tl:{1}:0") == 50
    await unlink_matching(redis, ["tl:*"])
    assert await redis.dbsize() == 0


async def test_a_walk_in_steps_meets_every_key_of_every_primary(redis: Any) -> None:
    names, found, after = await write_all(redis), set[str](), None
    while True:
        some, after = await scan_step(redis, after, "tl:*", 10)
        found.update(some)
        if after is None:
            break
    assert found == set(names)


async def test_a_script_over_many_slots_answers_in_the_order_of_its_keys(redis: Any) -> None:
    names = [name for reader in READERS for name in (keys.presence(reader), keys.reader_stream(reader))]
    for reader in READERS[::2]:
        await redis.hset(keys.presence(reader), "last", f"token {reader}")
    found = await Scripts(redis).run_over("renew", names, (1000,), per=2)
    assert found == [f"token {reader}" if reader % 2 else "" for reader in READERS]


async def test_of_a_primary_that_is_away_only_its_own_keys_are_unknown(redis: Any) -> None:
    names = [keys.tweet_copy(tweet) for tweet in READERS]
    first, *others = await redis.primaries()
    away = {name for name in names if redis.slots.node(await redis.slots.owner(slot_of(name))) is first}
    with silent(first):
        found = await Scripts(redis).run_over("copies_read", names, ("?mine", 1000), away="-")
        assert {name for name, copy in zip(names, found, strict=True) if copy == "-"} == away
        assert {name for name, copy in zip(names, found, strict=True) if copy == ""} == set(names) - away
        with silent(others[0]), silent(others[1]), pytest.raises(RedisError):
            await Scripts(redis).run_over("copies_read", names, ("?mine", 1000), away="-")


async def test_budgets_admit_their_burst_exactly_on_whatever_primary(redis: Any) -> None:
    limits = Limits(Scripts(redis), True, {Action.TWEET: Budget(5, 3600)})
    for who in ("ann", "bob", "cleo", "dan"):
        spent = await asyncio.gather(*(limits.spend(Action.TWEET, who) for _ in range(20)))
        assert sorted(one.wait_seconds == 0 for one in spent) == [False] * 15 + [True] * 5


async def test_a_dead_letter_moves_back_in_one_step(redis: Any) -> None:
    await redis.xadd(keys.DEAD_LETTERS, {"e": "TweetPosted", "why": "it was poison", "from": keys.events(1)})
    assert await DeadLetters(redis).retry() == 1
    assert await redis.xlen(keys.DEAD_LETTERS) == 0
    assert [fields for _, fields in await redis.xrange(keys.events(1))] == [{"e": "TweetPosted"}]


async def test_a_transaction_over_two_slots_is_refused_before_anything_is_written(redis: Any) -> None:
    async with redis.pipeline(transaction=True) as pipe:
        pipe.set("a", 1)
        pipe.set("b", 1)
        with pytest.raises(RedisError):
            await pipe.execute()
    assert await redis.dbsize() == 0

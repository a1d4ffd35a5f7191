"""Likes: the tweet's counter is the number of edges whatever races, and likers page without loss."""

import asyncio
import random

import pytest

from datastore.likes import Likes
from datastore.mongo import Mongo
from datastore.records import CursorKind, Key
from datastore.tweets import Tweets, new_doc

NOW_MS = 1_780_000_000_000
TWEET = 4096


@pytest.fixture
async def likes(mongo: Mongo) -> Likes:
    """Likes, with one tweet to like."""
    await mongo.tweets.insert_one(new_doc(TWEET, 1, "like me"))
    return Likes(mongo)


async def count(mongo: Mongo) -> int:
    tweet = await mongo.tweets.find_one({"_id": TWEET})
    assert tweet
    likes: int = tweet["likes"]
    return likes


async def test_liking_twice_counts_once(mongo: Mongo, likes: Likes) -> None:
    assert [await likes.add(9, TWEET, NOW_MS + number) for number in range(3)] == [True, False, False]
    assert await count(mongo) == 1
    (edge,) = await likes.likers(TWEET, 10, None)
    assert (edge.node, edge.key) == (9, (NOW_MS, 9))
    assert [await likes.remove(9, TWEET) for _ in range(3)] == [True, False, False]
    assert await count(mongo) == 0


@pytest.mark.parametrize("seed", [1, 2])
async def test_200_racing_likes_and_unlikes_leave_the_counter_at_the_number_of_edges(
    mongo: Mongo, likes: Likes, seed: int
) -> None:
    chance = random.Random(seed)
    calls = []
    for _ in range(200):
        user = chance.randrange(20)
        calls.append(likes.remove(user, TWEET) if chance.random() < 0.45 else likes.add(user, TWEET, NOW_MS))
    await asyncio.gather(*calls)
    edges = await mongo.likes.count_documents({"_id.t": TWEET})
    assert await count(mongo) == edges
    tweet = await Tweets(mongo).get(TWEET)
    assert tweet
    assert tweet.like_count == edges


async def test_200_likes_of_one_user_at_once_are_one(mongo: Mongo, likes: Likes) -> None:
    added = await asyncio.gather(*(likes.add(9, TWEET, NOW_MS) for _ in range(200)))
    assert sum(added) == await count(mongo) == 1
    removed = await asyncio.gather(*(likes.remove(9, TWEET) for _ in range(200)))
    assert sum(removed) == 1
    assert await count(mongo) == 0


async def test_existing_tells_which_pairs_are_likes(likes: Likes) -> None:
    await likes.add(9, TWEET, NOW_MS)
    assert await likes.existing([(9, TWEET), (TWEET, 9), (8, TWEET), (9, 7)]) == {(9, TWEET)}
    assert await likes.existing(iter(())) == set()


@pytest.mark.parametrize("times", [1, 3, 40])
async def test_pages_of_likers_over_equal_times_lose_and_repeat_nobody(mongo: Mongo, likes: Likes, times: int) -> None:
    chance = random.Random(times)
    pairs = [(user, NOW_MS + chance.randrange(times)) for user in chance.sample(range(1, 10_000), 40)]
    for tweet in (TWEET, TWEET - 1, TWEET + 1):
        await mongo.likes.insert_many([{"_id": {"t": tweet, "u": user}, "at": at} for user, at in pairs])
    expected = [user for user, _ in sorted(pairs, key=lambda pair: (pair[1], pair[0]), reverse=True)]
    for first in (1, 7, 40, 100):
        found: list[int] = []
        after: Key | None = None
        while page := await likes.likers(TWEET, first, after):
            assert len(page) <= first
            assert {edge.kind for edge in page} == {CursorKind.LIKERS}
            found += [edge.node for edge in page]
            after = page[-1].key
        assert found == expected

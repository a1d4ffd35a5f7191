"""Follows: counters are the number of edges whatever races, and lists lose and repeat nothing."""

import asyncio
import random

import pytest

from datastore import follows as follows_module
from datastore.errors import DomainError, ErrorCode
from datastore.follows import Follows
from datastore.mongo import Mongo
from datastore.records import CursorKind, Key
from datastore.users import new_doc

NOW_MS = 1_780_000_000_000


@pytest.fixture
async def people(mongo: Mongo) -> list[int]:
    """The ids of ten people."""
    docs = [new_doc(f"p{number}", f"P{number}", NOW_MS + number) for number in range(10)]
    await mongo.users.insert_many(docs)
    return [doc["_id"] for doc in docs]


async def counters(mongo: Mongo) -> dict[int, tuple[int, int]]:
    """(followers, following) as counted, by person."""
    return {doc["_id"]: (doc["followers"], doc["following"]) async for doc in mongo.users.find()}


async def edges(mongo: Mongo) -> dict[int, tuple[int, int]]:
    """(followers, following) as the edges say, by person."""
    pairs = [(doc["_id"]["f"], doc["_id"]["a"]) async for doc in mongo.follows.find()]
    everybody = [doc["_id"] async for doc in mongo.users.find()]
    return {one: (sum(a == one for _, a in pairs), sum(f == one for f, _ in pairs)) for one in everybody}


async def test_following_twice_counts_once(mongo: Mongo, people: list[int]) -> None:
    follows = Follows(mongo)
    ann, bob, *_ = people
    assert [await follows.add(ann, bob, NOW_MS) for _ in range(3)] == [True, False, False]
    assert (await counters(mongo))[bob] == (1, 0)
    assert (await counters(mongo))[ann] == (0, 1)
    assert [await follows.remove(ann, bob) for _ in range(3)] == [True, False, False]
    assert set((await counters(mongo)).values()) == {(0, 0)}


async def test_the_second_follow_keeps_the_time_of_the_first(mongo: Mongo, people: list[int]) -> None:
    follows = Follows(mongo)
    ann, bob, *_ = people
    await follows.add(ann, bob, NOW_MS)
    await follows.add(ann, bob, NOW_MS + 1000)
    (edge,) = await follows.followers(bob, 10, None)
    assert edge.since
    assert edge.since.timestamp() * 1000 == NOW_MS


async def test_nobody_follows_themselves(mongo: Mongo, people: list[int]) -> None:
    with pytest.raises(DomainError) as caught:
        await Follows(mongo).add(people[0], people[0], NOW_MS)
    assert (caught.value.code, caught.value.path) == (ErrorCode.SELF_ACTION, ("input", "userId"))
    assert await mongo.follows.count_documents({}) == 0


@pytest.mark.parametrize("seed", [1, 2])
async def test_200_racing_follows_and_unfollows_leave_counters_at_the_number_of_edges(
    mongo: Mongo, people: list[int], seed: int
) -> None:
    follows, chance = Follows(mongo), random.Random(seed)
    calls = []
    for _ in range(200):
        ann, bob = chance.sample(people[:5], 2)
        calls.append(follows.remove(ann, bob) if chance.random() < 0.45 else follows.add(ann, bob, NOW_MS))
    changed = await asyncio.gather(*calls)
    assert any(changed)
    assert await counters(mongo) == await edges(mongo)


async def test_existing_tells_which_pairs_follow_and_in_which_direction(mongo: Mongo, people: list[int]) -> None:
    follows = Follows(mongo)
    ann, bob, cy, *_ = people
    await follows.add(ann, bob, NOW_MS)
    await follows.add(cy, ann, NOW_MS)
    asked = [(ann, bob), (bob, ann), (ann, cy), (cy, ann), (7, 8)]
    assert await follows.existing(asked) == {(ann, bob), (cy, ann)}
    assert await follows.existing(iter(())) == set()


async def test_a_walk_meets_each_follower_once_and_nobody_elses(mongo: Mongo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follows_module, "WALK_BATCH", 7)
    author = 1_000_000
    followers = random.Random(5).sample(range(0, 2**53, 2**45), 28)
    for others in (author - 1, author + 1, 2**50):
        await mongo.follows.insert_many([{"_id": {"a": others, "f": one}, "at": 1} for one in followers[:3]])
    await mongo.follows.insert_many([{"_id": {"a": author, "f": one}, "at": 1} for one in [0, *followers]])
    batches = [batch async for batch in Follows(mongo).walk_followers(author)]
    assert [len(batch) for batch in batches] == [7, 7, 7, 7, 1]
    assert [one for batch in batches for one in batch] == [0, *sorted(followers)]
    assert [batch async for batch in Follows(mongo).walk_followers(5)] == []


@pytest.mark.parametrize("times", [1, 3, 40])
async def test_pages_over_equal_times_lose_and_repeat_nobody(mongo: Mongo, times: int) -> None:
    chance = random.Random(times)
    pairs = [(one, at) for one in chance.sample(range(1, 10_000), 40) for at in [NOW_MS + chance.randrange(times)]]
    await mongo.follows.insert_many([{"_id": {"a": 5, "f": one}, "at": at} for one, at in pairs])
    await mongo.follows.insert_many([{"_id": {"a": one, "f": 6}, "at": at} for one, at in pairs])
    await mongo.follows.insert_many([{"_id": {"a": 4, "f": one}, "at": at} for one, at in pairs])
    expected = [one for one, at in sorted(pairs, key=lambda pair: (pair[1], pair[0]), reverse=True)]
    follows = Follows(mongo)
    for read, owner, kind in (
        (follows.followers, 5, CursorKind.FOLLOWERS),
        (follows.following, 6, CursorKind.FOLLOWING),
    ):
        for first in (1, 7, 40, 100):
            found: list[int] = []
            after: Key | None = None
            while page := await read(owner, first, after):
                assert len(page) <= first
                assert {edge.kind for edge in page} == {kind}
                found += [edge.node for edge in page]
                after = page[-1].key
            assert found == expected
    assert await follows.followee_ids(6) == expected


async def test_a_page_goes_on_where_it_was_although_its_last_edge_has_gone(mongo: Mongo, people: list[int]) -> None:
    follows = Follows(mongo)
    author, *others = people
    for at, one in enumerate(others):
        await follows.add(one, author, NOW_MS + at // 3)
    page = await follows.followers(author, 4, None)
    await follows.remove(page[-1].node, author)
    await follows.add(people[1], people[2], NOW_MS + 100)
    rest = await follows.followers(author, 100, page[-1].key)
    assert sorted(edge.node for edge in [*page, *rest]) == sorted(others)

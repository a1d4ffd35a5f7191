"""The demo world: believable, exact, the same for the same seed, and planted once whatever happens meanwhile."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastore import bulk, demo_world, ids, rules
from datastore.demo_world import TWEETS, World, generate, next_demo_tweet, plant
from datastore.mongo import Doc, Mongo
from datastore.users import Users
from tests.datastore.importing import assert_exact, everything

NOW_MS = 1_780_000_000_000
HOUR_MS = 3_600_000
COLLECTIONS = ("users", "follows", "tweets", "likes")


@pytest.fixture(scope="module")
def world() -> World:
    return generate("a hash", NOW_MS, 2006)


def named(world: World, username: str) -> Doc:
    return next(doc for doc in world.users if doc["username"] == username)


# What it is


def test_two_hundred_people_have_names_and_bios_that_pass_the_rules(world: World) -> None:
    assert (
        len(world.users)
        == len({doc["name_key"] for doc in world.users})
        == len({doc["_id"] for doc in world.users})
        == 200
    )
    for doc in world.users:
        assert rules.username(doc["username"])
        assert rules.display_name(doc["display_name"]) == doc["display_name"]
        assert rules.tweet_text(doc["bio"])
        assert ids.at_ms(doc["_id"]) < NOW_MS - 30 * 24 * HOUR_MS
    assert len({doc["display_name"] for doc in world.users}) > 150
    assert len({doc["bio"] for doc in world.users}) > 150


def test_one_author_is_followed_by_nearly_everybody_and_few_by_many(world: World) -> None:
    counts = sorted((doc["followers"] for doc in world.users), reverse=True)
    assert counts[0] == named(world, "marlow")["followers"] > 170
    assert sum(counts[:20]) > sum(counts[20:180]) / 2
    assert sorted(counts)[100] < counts[0] / 10


def test_the_demo_user_follows_25_some_of_whom_follow_back(world: World) -> None:
    demo, marlow = named(world, "demo"), named(world, "marlow")
    followees = {doc["_id"]["a"] for doc in world.follows if doc["_id"]["f"] == demo["_id"]}
    followers = {doc["_id"]["f"] for doc in world.follows if doc["_id"]["a"] == demo["_id"]}
    assert len(followees) == demo["following"] == 25
    assert marlow["_id"] in followees
    assert 5 <= len(followers) == demo["followers"] < 25
    assert followers < followees


def test_two_thousand_tweets_lie_in_the_last_week_most_in_its_last_hours(world: World) -> None:
    ages = [(NOW_MS - ids.at_ms(doc["_id"])) / HOUR_MS for doc in world.tweets]
    assert len(ages) == len({doc["_id"] for doc in world.tweets}) == TWEETS == 2000
    assert 0 < min(ages) < 0.1
    assert 6 * 24 < max(ages) < 7 * 24
    by_day = Counter(int(age // 24) for age in ages)
    assert by_day[0] > by_day[1] > by_day[6] > 50


def test_no_two_tweets_are_the_same_and_all_pass_the_rules(world: World) -> None:
    assert all(rules.tweet_text(doc["text"]) == doc["text"] for doc in world.tweets)
    assert len({doc["text"] for doc in world.tweets}) == TWEETS
    assert sum("#" in doc["text"] for doc in world.tweets) > 200


def test_answers_name_and_follow_what_they_answer(world: World) -> None:
    by_id = {doc["_id"]: doc for doc in world.tweets}
    names = {doc["_id"]: doc["username"] for doc in world.users}
    replies = [doc for doc in world.tweets if doc["is_reply"]]
    assert 300 < len(replies) < 700
    for doc in replies:
        answered = by_id[doc["reply_to"]]
        assert ids.at_ms(answered["_id"]) < ids.at_ms(doc["_id"])
        assert doc["reply_author"] == answered["author"] != doc["author"]
        assert doc["text"].startswith(f"@{names[answered['author']]} ")


def test_likes_are_by_followers_and_few_tweets_get_most(world: World) -> None:
    authors = {doc["_id"]: doc["author"] for doc in world.tweets}
    follows = {(doc["_id"]["f"], doc["_id"]["a"]) for doc in world.follows}
    assert all((doc["_id"]["u"], authors[doc["_id"]["t"]]) in follows for doc in world.likes)
    assert all(ids.at_ms(doc["_id"]["t"]) <= doc["at"] <= NOW_MS for doc in world.likes)
    counts = sorted((doc["likes"] for doc in world.tweets), reverse=True)
    assert sum(counts[:200]) > sum(counts) / 3
    assert counts[0] > 50


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000), start_ms=st.integers(NOW_MS, NOW_MS + 10**11))
def test_any_seed_and_moment_gives_a_world_that_fits_together(seed: int, start_ms: int) -> None:
    made = generate("a hash", start_ms, seed)
    for docs in (made.users, made.follows, made.tweets, made.likes):
        assert len({str(doc["_id"]) for doc in docs}) == len(docs)
    assert named(made, "marlow")["followers"] > 150


def test_the_same_seed_and_moment_give_the_same_world(world: World) -> None:
    assert generate("a hash", NOW_MS, 2006) == world
    assert generate("a hash", NOW_MS, 2007) != world


@given(st.integers(0, 1_000_000))
def test_the_demo_author_never_says_the_same_twice(n: int) -> None:
    assert rules.tweet_text(next_demo_tweet(n)) == next_demo_tweet(n)
    assert len({next_demo_tweet(each) for each in range(n, n + 200)}) == 200


# Planting it


async def test_it_is_planted_only_once(mongo: Mongo) -> None:
    assert await plant(mongo, "a hash", NOW_MS) is True
    before = await everything(mongo)
    assert await plant(mongo, "another", NOW_MS + HOUR_MS) is False
    assert await everything(mongo) == before
    assert [len(before[name]) for name in COLLECTIONS][::2] == [200, 2000]


async def test_its_counters_are_exact_and_it_says_that_it_is_imported(mongo: Mongo) -> None:
    await plant(mongo, "a hash", NOW_MS)
    await assert_exact(mongo)
    store = await everything(mongo)
    likes = Counter(doc["_id"]["t"] for doc in store["likes"])
    assert all(doc["likes"] == likes[doc["_id"]] for doc in store["tweets"])
    assert all(doc["imported"] is True for docs in store.values() for doc in docs)


async def test_the_demo_user_logs_in_and_nobody_else_can(mongo: Mongo) -> None:
    await plant(mongo, "a hash", NOW_MS)
    account = await Users(mongo).account_by_login("demo@perch.example")
    assert account is not None
    assert (account.user.username, account.user.display_name, account.password_hash) == ("demo", "Demo", "a hash")
    assert await mongo.users.count_documents({"password": {"$exists": True}}) == 1


@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_a_crash_midway_leaves_nothing_and_the_next_start_plants(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    calls = 0
    insert = bulk.insert

    async def breaking(*args: object) -> None:
        nonlocal calls
        calls += 1
        await insert(*args)  # type: ignore[arg-type]
        if calls == at:
            raise ConnectionError("the lights went out")

    with monkeypatch.context() as patch:
        patch.setattr(bulk, "insert", breaking)
        with pytest.raises(ConnectionError):
            await plant(mongo, "a hash", NOW_MS)
    assert not any((await everything(mongo)).values())
    assert await plant(mongo, "a hash", NOW_MS + HOUR_MS) is True
    await assert_exact(mongo)


async def test_of_two_who_plant_at_once_one_does(mongo: Mongo) -> None:
    planted = await asyncio.gather(*(plant(mongo, "a hash", NOW_MS + at) for at in range(3)))
    assert sorted(planted) == [False, False, True]
    assert await mongo.users.count_documents({}) == demo_world.PEOPLE
    await assert_exact(mongo)


async def test_people_whose_name_or_email_is_taken_are_left_out(mongo: Mongo, world: World) -> None:
    busy = max(world.users[2:], key=lambda doc: doc["tweets"])["username"]
    await Users(mongo).add(busy.upper(), "busy@perch.example", "hash", "Somebody real", NOW_MS)
    await Users(mongo).add("ana", "Demo@perch.example", "hash", "Ana", NOW_MS)
    assert await plant(mongo, "a hash", NOW_MS) is True
    assert await mongo.users.count_documents({}) == 200
    assert await mongo.users.count_documents({"imported": True}) == 198
    people = {doc["_id"] async for doc in mongo.users.find({"imported": True})}
    store = await everything(mongo)
    said = {doc["_id"] for doc in store["tweets"]}
    assert all(set(doc["_id"].values()) <= people for doc in store["follows"])
    assert all(doc["author"] in people and doc.get("reply_to", doc["_id"]) in said for doc in store["tweets"])
    assert all(doc["_id"]["u"] in people and doc["_id"]["t"] in said for doc in store["likes"])
    await assert_exact(mongo)

"""A database of the version before gets its reservations before the unique indexes go, whoever dies in between."""

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any

import pytest

from datastore import counters, ids, upgrade
from datastore.backup import backup, restore
from datastore.errors import DomainError
from datastore.indexes import INDEXES
from datastore.mongo import Doc, Mongo
from datastore.passes import Passes
from datastore.records import Tweet
from datastore.retweets import Retweets
from datastore.tweets import Tweets
from datastore.users import Users

NOW_MS = 1_780_000_000_000
# What that version had, by collection: fields and the filter of a unique index.
OLD: dict[str, list[tuple[list[str], Doc]]] = {
    "users": [(["name_key"], {}), (["email_key"], {"email_key": {"$exists": True}})],
    "retweets": [(["author", "tweet", "alive"], {"alive": True})],
    "tweets": [
        (["reply_to", "author", "counted"], {"alive": True, "counted": {"$exists": True}}),
        (["import_key"], {"import_key": {"$exists": True}}),
    ],
}
RESERVED = ("names", "emails", "retweet_pairs", "import_keys", "repliers")


async def of_the_version_before(mongo: Mongo, people: int) -> dict[str, list[Doc]]:
    """A world as that version left it; gives what has to be reserved, by collection."""
    chance, users, tweets, retweets = random.Random(5), Users(mongo), Tweets(mongo), Retweets(mongo)
    authors = [
        (await users.add(f"p{n}", f"p{n}@perch.example", "a hash", f"P {n}", NOW_MS + n)).user.id for n in range(people)
    ]
    written = [await tweets.add(author, "words", NOW_MS + n) for n, author in enumerate(authors)]
    for n in range(3 * people):
        author, answered = chance.choice(authors), chance.choice(written)
        written.append(await tweets.add(author, "an answer", NOW_MS + 1000 + n, answered))
        await retweets.add(author, answered, NOW_MS + 1000 + n)
    for tweet in written[people::5]:
        await tweets.remove(tweet.author_id, tweet.id)
    for n, tweet in enumerate(written[:people:2]):
        await mongo.tweets.update_one({"_id": tweet.id}, {"$set": {"import_key": f"id:{n}"}})
        await mongo.import_keys.insert_one({"_id": f"id:{n}", "of": tweet.id})
    assert await users.delete(authors[0], "a hash", ids.created_at(written[-1].id))
    await mongo.emails.delete_many({"of": authors[0]})
    return await as_before(mongo)


async def as_before(mongo: Mongo) -> dict[str, list[Doc]]:
    """Takes the reservations away and puts the old indexes there; gives what the reservations were."""
    told = await reserved(mongo)
    for name in RESERVED:
        await mongo.db[name].delete_many({})
    await mongo.system.delete_many({})
    for name, indexes in OLD.items():
        for fields, found in indexes:
            options: Any = {"partialFilterExpression": found} if found else {}
            await mongo.db[name].create_index([(field, 1) for field in fields], unique=True, **options)
    return told


async def reserved(mongo: Mongo) -> dict[str, list[Doc]]:
    """All reservations, in no order."""
    found = {name: await mongo.db[name].find({}).to_list(None) for name in RESERVED}
    return {name: sorted(docs, key=str) for name, docs in found.items()}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every walk takes several slices, and who died is followed at once."""
    monkeypatch.setattr(upgrade, "SLICE", 5)
    monkeypatch.setattr(upgrade, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(upgrade, "LEASE_SECONDS", 0.0)


class DeathError(Exception):
    """The process ends here."""


async def test_whoever_dies_wherever_the_reservations_are_complete_before_an_index_goes(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await of_the_version_before(mongo, 6)
    assert [len(told[name]) > 3 for name in RESERVED] == [True, True, True, False, True]
    keep, left = Passes.keep, [0]

    async def dying(passes: Passes, *stands: Any) -> bool:
        left[0] -= 1
        if left[0] < 0:
            raise DeathError
        return await keep(passes, *stands)

    monkeypatch.setattr(Passes, "keep", dying)
    deaths = 0
    while await upgrade.old_indexes(mongo):
        # Each gets one slice further, and dies when the next one is filled or its index is gone.
        left[0] = 1
        with contextlib.suppress(DeathError):
            await upgrade.prepare(mongo, f"process {deaths}")
        deaths += 1
        there, now = await upgrade.old_indexes(mongo), await reserved(mongo)
        for step, name in zip(upgrade.STEPS, RESERVED, strict=True):
            assert step in there or now[name] == told[name], (deaths, name)
    assert deaths > 15


async def test_an_index_that_another_one_replaces_goes(mongo: Mongo) -> None:
    for collection, index in upgrade.SUPERSEDED:
        await mongo.db[collection].create_index([(index.removesuffix("_1"), 1)], name=index)
    await upgrade.prepare(mongo, "one")
    for collection, index in upgrade.SUPERSEDED:
        there = await mongo.db[collection].index_information()
        assert len(there) == len(INDEXES[collection]) + 1
        assert index not in there


async def test_of_two_who_start_at_once_one_does_it_and_both_wait(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await of_the_version_before(mongo, 6)
    monkeypatch.setattr(upgrade, "LEASE_SECONDS", 60.0)
    slices, slice_of = [0], counters.slice_of

    async def counted(*asked: Any) -> list[Doc]:
        slices[0] += 1
        return await slice_of(*asked)

    monkeypatch.setattr("datastore.upgrade.slice_of", counted)
    await asyncio.gather(*(upgrade.prepare(mongo, name) for name in ("one", "two")))
    assert (await reserved(mongo), await upgrade.old_indexes(mongo)) == (told, [])
    alone = slices[0]
    await as_before(mongo)
    await upgrade.prepare(mongo, "three")
    assert slices[0] == 2 * alone


async def test_an_index_that_another_one_has_dropped_meanwhile_is_no_failure(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await of_the_version_before(mongo, 6)
    keep = Passes.keep

    async def overtaken(passes: Passes, stage: int, after: Any, *rest: Any) -> bool:
        step = upgrade.STEPS[min(stage, len(upgrade.STEPS) - 1)]
        if after is None and step in await upgrade.old_indexes(mongo):
            await mongo.db[step.collection].drop_index(step.index)
        return await keep(passes, stage, after, *rest)

    monkeypatch.setattr(Passes, "keep", overtaken)
    monkeypatch.setattr(upgrade, "LEASE_SECONDS", 60.0)
    await upgrade.prepare(mongo, "overtaken")
    assert await reserved(mongo) == told


async def test_a_database_of_this_version_is_left_alone(mongo: Mongo) -> None:
    await upgrade.prepare(mongo, "one")
    assert await mongo.system.find_one({"_id": "upgrade"}) is None
    await Users(mongo).add("ann", "ann@perch.example", "a hash", "Ann", NOW_MS)
    before = await reserved(mongo)
    await upgrade.fill(mongo)
    assert await reserved(mongo) == before


async def test_what_was_unique_before_is_unique_after(mongo: Mongo) -> None:
    await of_the_version_before(mongo, 4)
    await upgrade.prepare(mongo, "one")
    users, retweets = Users(mongo), Retweets(mongo)
    for name, email, code in (
        ("P1", "new@perch.example", "USERNAME_TAKEN"),
        ("new", "P1@perch.example", "EMAIL_TAKEN"),
    ):
        with pytest.raises(DomainError) as caught:
            await users.add(name, email, "a hash", "New", NOW_MS)
        assert caught.value.code == code
    doc = await mongo.retweets.find_one({"alive": True})
    assert doc
    tweet = Tweet(doc["tweet"], doc["of"], "", None, None, 0, 0, 0)
    assert not await retweets.add(doc["author"], tweet, NOW_MS)
    assert await retweets.remove(doc["author"], tweet.id)
    assert await retweets.add(doc["author"], tweet, NOW_MS)


async def test_a_backup_of_the_version_before_is_restored_with_reservations(
    mongo: Mongo, mongo_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await of_the_version_before(mongo, 6)
    then = {name: indexes for name, indexes in INDEXES.items() if name not in RESERVED}
    with monkeypatch.context() as earlier:
        earlier.setattr("datastore.backup.INDEXES", then)
        await backup(mongo, tmp_path / "old.bson.gz")
    await upgrade.prepare(mongo, "one")
    other = Mongo(mongo_url, "test_upgrade_restored")
    try:
        await restore(other, tmp_path / "old.bson.gz")
        assert await reserved(other) == told
    finally:
        await other.client.drop_database(other.db.name)
        await other.close()

"""Shards: the plan covers what there is, and says what is in the way. No mongos was at hand: nothing is spread here."""

import secrets

import pytest

import app
from datastore import ids
from datastore.doctor import MongoDoctor
from datastore.findings import Verdict
from datastore.indexes import INDEXES
from datastore.mongo import Mongo
from datastore.processes import DevServerError
from datastore.settings import Settings
from datastore.shards import PLAN, NoRouterError, commands, lines, run
from datastore.tweets import new_doc


def test_every_collection_that_grows_has_a_key() -> None:
    assert {spread.collection for spread in PLAN} == set(INDEXES) - {"system"}


def test_nothing_is_in_the_way_since_nothing_is_unique_but_by_its_id() -> None:
    assert [spread.in_the_way for spread in PLAN] == [[]] * len(PLAN)
    assert not any(options.get("unique") for indexes in INDEXES.values() for _, options in indexes)


def test_a_unique_index_without_the_key_would_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {**INDEXES, "users": [([("name_key", 1)], {"unique": True}), ([("_id", "hashed")], {"unique": True})]}
    monkeypatch.setattr("datastore.shards.INDEXES", before)
    assert [spread.in_the_way for spread in PLAN if spread.collection == "users"] == [["name_key"]]
    told = list(lines("perch"))
    assert "// in the way: unique (name_key), which does not begin with the key" in told
    assert not any("perch.users" in line for line in told if line.startswith("db."))


def test_a_tweet_and_all_of_its_authors_have_one_bucket_which_its_id_tells() -> None:
    author = ids.new(ids.now_ms())
    docs = [new_doc(ids.new(ids.now_ms() + number, author), author, "text") for number in range(3)]
    assert {doc["bucket"] for doc in docs} == {ids.spread(author, ids.AUTHOR_BUCKETS)}
    assert all(ids.bucket(doc["_id"]) == doc["bucket"] for doc in docs)


def test_the_plan_is_commands_for_every_collection() -> None:
    told = list(lines("perch"))
    assert told[0] == 'sh.enableSharding("perch")'
    runs = [line for line in told if line.startswith("db.")]
    assert any('"shardCollection": "perch.follows", "key": {"_id": 1}' in line for line in runs)
    assert any('"shardCollection": "perch.tweets", "key": {"bucket": 1, "_id": 1}' in line for line in runs)
    assert all(any(f'"perch.{spread.collection}"' in line for line in runs) for spread in PLAN)


async def test_the_keys_indexes_can_be_made_and_the_doctor_does_not_mind_them(urls: tuple[str, str]) -> None:
    mongo = Mongo(urls[0], f"shards_{secrets.token_hex(4)}")
    await mongo.ensure_indexes()
    try:
        for spread in PLAN:
            for where, command in commands(mongo.db.name, spread):
                if "createIndexes" in command:
                    await mongo.client[where].command(command)
        found = {one.name: one for one in await MongoDoctor(mongo, 6).findings()}["mongo.indexes"]
        assert found.verdict is Verdict.OK
        with pytest.raises(NoRouterError):
            await run(mongo)
    finally:
        await mongo.client.drop_database(mongo.db.name)
        await mongo.close()


async def test_the_command_prints_the_plan_and_runs_it_at_a_mongos_alone(settings: Settings) -> None:
    assert app.printed("shard-plan", settings).startswith(f'sh.enableSharding("{settings.mongo_database}")')
    with pytest.raises(DevServerError, match="no mongos"):
        await app.shard(settings)

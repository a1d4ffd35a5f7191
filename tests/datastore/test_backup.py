"""A backup under load is one moment of everything, and a restored database shows that moment's pages."""

import asyncio
import gzip
from pathlib import Path

import pytest

import app
from datastore import bulk, ids
from datastore.backup import BackupError, backup, restore
from datastore.entries import Entries
from datastore.follows import Follows
from datastore.indexes import INDEXES
from datastore.likes import Likes
from datastore.mongo import Doc, Mongo
from datastore.retweets import Retweets
from datastore.settings import Settings
from datastore.tweets import Tweets
from datastore.users import new_doc


async def write_for_ever(mongo: Mongo, authors: list[int], made: list[int]) -> None:
    """The authors tweet in turn, and each likes what the other has just written."""
    tweets, likes = Tweets(mongo), Likes(mongo)
    while True:
        author, other = authors[len(made) % 2], authors[(len(made) + 1) % 2]
        tweet = await tweets.add(author, f"number {len(made)}", ids.now_ms())
        made.append(tweet.id)
        await likes.add(other, tweet.id, ids.now_ms())


async def people(mongo: Mongo, count: int) -> list[int]:
    """Ids of some new people."""
    docs = [new_doc(f"p{n}_{ids.new(ids.now_ms()) % 10**9}", f"Person {n}", ids.now_ms() + n) for n in range(count)]
    await bulk.insert_people(mongo, docs, None)
    return [doc["_id"] for doc in docs]


async def test_a_backup_under_load_restores_to_one_moment_of_everything(settings: Settings, tmp_path: Path) -> None:
    name = f"backup_{ids.new(ids.now_ms())}"
    source = settings.model_copy(update={"mongo_database": name})
    target = settings.model_copy(
        update={"mongo_database": f"{name}_restored", "redis_url": settings.redis_url.removesuffix("/0") + "/8"}
    )
    path, made = tmp_path / "perch.bson.gz", list[int]()
    async with app.clients(source) as opened, app.clients(target) as empty:
        mongo = opened.mongo
        await mongo.ensure_indexes()
        ann, bob, reader = await people(mongo, 3)
        for author in (ann, bob):
            await Follows(mongo).add(reader, author, ids.now_ms())
        writing = asyncio.create_task(write_for_ever(mongo, [ann, bob], made))
        while len(made) < 30:
            await asyncio.sleep(0.01)
        before = len(made)
        counts = await backup(mongo, path)
        writing.cancel()
        assert counts["tweets"] >= before
        await app.restore(target, path)
        there = await documents(empty.mongo)
        # One moment: of what was written one after the other there is a beginning, and each like has its tweet.
        # The last may be the one whose writer was told to stop before it could say so.
        kept = sorted(one["_id"] for one in there["tweets"])
        assert kept[: len(made)] == sorted(made)[: counts["tweets"]]
        assert len(kept) <= len(made) + 1
        assert {one["_id"]["t"] for one in there["likes"]} | set(kept[-1:]) == set(kept)
        assert {name: len(docs) for name, docs in there.items() if name != "system"} == {
            name: count for name, count in counts.items() if name != "system"
        }
        await app.reconcile(target.model_copy(update={"reconcile_grace_seconds": 0.1}), check=False)
        counters = await empty.mongo.users.find_one({"_id": ann})
        assert counters
        assert counters["tweets"] == sum(one["author"] == ann for one in there["tweets"])
        entries = Entries(Tweets(empty.mongo), Retweets(empty.mongo))
        assert await entries.newest([ann, bob], 1000) == kept[::-1]
        await opened.mongo.client.drop_database(name)
        await opened.mongo.client.drop_database(target.mongo_database)


async def nobody(mongo: Mongo) -> None:
    """No people any more."""
    for name in ("users", "names"):
        await mongo.db[name].delete_many({})


async def documents(mongo: Mongo) -> dict[str, list[Doc]]:
    """Everything, by collection."""
    return {name: await mongo.db[name].find({}).to_list(None) for name in INDEXES}


async def test_a_file_that_was_cut_short_and_a_database_that_is_not_empty_are_refused(
    mongo: Mongo, tmp_path: Path
) -> None:
    path = tmp_path / "perch.bson.gz"
    await people(mongo, 3)
    await backup(mongo, path)
    with pytest.raises(BackupError, match="not empty"):
        await restore(mongo, path)
    await nobody(mongo)
    whole = gzip.decompress(path.read_bytes())
    for content in (gzip.compress(whole[:-60]), path.read_bytes()[:-20], gzip.compress(b""), b"junk"):
        path.write_bytes(content)
        with pytest.raises(BackupError):
            await restore(mongo, path)
        await nobody(mongo)

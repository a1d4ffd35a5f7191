"""MongoDB: indexes that serve every query of the house, and writes that the majority has."""

import random
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datastore import bulk, ids
from datastore.blocks import Blocks
from datastore.changes import Changes
from datastore.entries import Entries
from datastore.follows import Follows
from datastore.indexes import INDEXES
from datastore.likes import Likes
from datastore.mongo import Doc, Mongo, Session, aggregated
from datastore.purges import Purges
from datastore.records import TopWindow
from datastore.rescan import rescan
from datastore.retweets import Retweets
from datastore.session_ends import SessionEnds
from datastore.sessions import Sessions
from datastore.together import Asked, Find, Look, as_one, together
from datastore.tweets import Tweets, new_doc
from datastore.users import Users
from datastore.users import new_doc as new_user

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
PEOPLE = 250


async def fill(mongo: Mongo) -> list[int]:
    """A world in which a bad plan is a slow plan; gives its people."""
    chance = random.Random(3)
    users = [new_user(f"p{number}", f"P{number}", NOW_MS + number) for number in range(PEOPLE)]
    people = [doc["_id"] for doc in users]
    tweets = {}
    for number in range(3000):
        author = chance.choice(people)
        tweet_id = ids.new(NOW_MS + number, author)
        tweets[tweet_id] = new_doc(tweet_id, author, "x") | ({"is_reply": True} if number % 3 == 0 else {})
    follows = {(chance.choice(people), chance.choice(people)) for _ in range(2000)}
    follows |= {(people[1], other) for other in people} | {(other, people[0]) for other in people}
    likes = {(chance.choice([*tweets]), chance.choice(people)) for _ in range(1000)}
    likes |= {(next(iter(tweets)), other) for other in people}
    await mongo.users.insert_many(users)
    await mongo.tweets.insert_many(tweets.values())
    await mongo.follows.insert_many([{"_id": {"a": a, "f": f}, "at": NOW_MS + n} for n, (f, a) in enumerate(follows)])
    await mongo.likes.insert_many([{"_id": {"t": t, "u": u}, "at": NOW_MS + n} for n, (t, u) in enumerate(likes)])
    return people


async def ask_everything(mongo: Mongo, people: list[int]) -> None:
    """Every method of every room, on roads that exist and on roads that do not."""
    users, tweets, follows, likes = Users(mongo), Tweets(mongo), Follows(mongo), Likes(mongo)
    sessions, changes = Sessions(mongo, timedelta(days=30)), Changes(mongo)
    ann, bob = people[0], people[1]

    await users.add("new", "new@perch.example", "a hash", "New", NOW_MS)
    await users.get_many(people[:100])
    await users.by_username("p7")
    await users.account(ann)
    await users.account_by_login("p7")
    await users.account_by_login("new@perch.example")
    await users.set_password(ann, "another")

    retweets = Retweets(mongo)
    entries = Entries(tweets, retweets)
    tweet = await tweets.add(ann, "one", NOW_MS + 10_000, idempotency_key="k")
    await retweets.add(bob, tweet, NOW_MS + 10_000)
    await retweets.existing([(bob, tweet.id)])
    assert [batch async for batch in retweets.walk_tweet(tweet.id)]
    await tweets.add(ann, "one", NOW_MS + 10_000, idempotency_key="k")
    answer = await tweets.add(bob, "two", NOW_MS + 10_001, answered=tweet)
    await tweets.get_many([tweet.id, answer.id, 7])
    await tweets.author_of(tweet.id)
    for before in (None, tweet.id):
        await tweets.by_author(ann, 21, before)
        await tweets.by_author(ann, 21, before, replies=True)
        await tweets.replies_to(tweet.id, 21, before)
        await entries.newest(people, 101, before)
        await entries.newest(people[:1], 101, before, above=ids.new(NOW_MS + 5, ann))
        await entries.newest(people[:200], 3, before)
        await entries.newest_among(people[:40], people[:20], 101, before)
        await entries.newest_among(people[:10], people[:10], 3, before)
        await together(*entries.find_newest(ann, 21, before), follows.find_top_followees(bob))
        await retweets.of_tweet(tweet.id, 21, before)
        await retweets.of_user(bob, 21, before)

    await tweets.places([tweet.id, answer.id, 7])
    await tweets.add(bob, "three", NOW_MS + 10_002, answered=tweet)
    for lowest in (0.0, 1e6):
        await tweets.top(TopWindow.DAY, 100, lowest)
        await tweets.top(TopWindow.HOUR, 100, lowest, (2e6, tweet.id))

    for after in (None, (NOW_MS + 500, ann)):
        await follows.followers(ann, 21, after)
        await follows.following(bob, 21, after)
        await likes.likers(tweet.id, 21, after)
        await likes.liked(bob, 21, after)
    await follows.add(people[7], people[8], NOW_MS)
    await follows.existing([(bob, other) for other in people[:100]])
    await follows.followee_ids(bob)
    assert [batch async for batch in follows.walk_followers(ann)]
    assert await follows.followers_of(people[:5])
    assert await users.roads_of(people[:5])
    await follows.remove(people[7], people[8])

    await likes.add(ann, tweet.id, NOW_MS)
    await likes.existing([(ann, tweet.id), (bob, tweet.id)])
    pairs = [(bob, other) for other in people[:20]]
    likings = likes.find_liked(bob, [tweet.id, 7]), retweets.find_retweeted(bob, [tweet.id, 7])
    await together(follows.find_existing(pairs), Blocks(mongo).find_regards(pairs), *likings)
    await likes.remove(ann, tweet.id)
    await tweets.remove(bob, answer.id)

    session = await sessions.add(ann, b"1", None, NOW_MS)
    await sessions.get(session.id, NOW)
    await sessions.of_user(ann, NOW)
    await sessions.rotate(session.id, b"1", b"2", NOW)
    await sessions.rotate(session.id, b"1", b"2", NOW)
    await sessions.end(session.id)
    await sessions.end_all(ann)

    await SessionEnds(mongo).among([session.id])
    await users.update_profile(ann, "Ann", "A bio.")
    assert await users.delete(ann, "another", NOW)
    purges = Purges(mongo)
    purge = await purges.take(NOW, timedelta(seconds=9))
    assert purge
    await purges.keep(purge, NOW)
    await purges.end_sessions(ann)
    while await purges.delete_entries(ann, NOW) or await purges.cut_edges(ann) or await purges.forget_tombstones(ann):
        await purges.forget_keys(ann)
    await purges.once_more(purge, NOW)
    await purges.finish(purge)

    await changes.prepare()
    lease = await changes.lease("a", 60)
    assert lease
    await changes.beat()
    await changes.store({"_data": "x"}, lease.fence)
    await changes.store(await changes.present(), lease.fence)
    since_then = await rescan(changes, lease)
    while await since_then.next():
        pass
    await changes.release("a")


@pytest.fixture(scope="module")
async def profile(mongo_url: str) -> list[Doc]:
    """What MongoDB's profiler wrote down about every query of the house."""
    mongo = Mongo(mongo_url, f"test_{secrets.token_hex(6)}")
    try:
        await mongo.ensure_indexes()
        people = await fill(mongo)
        # By default it forgets what was first.
        await mongo.db.create_collection("system.profile", capped=True, size=64 * 2**20)
        await mongo.db.command("profile", 2)
        await ask_everything(mongo, people)
        await mongo.db.command("profile", 0)
        ours = {"ns": {"$in": [f"{mongo.db.name}.{name}" for name in INDEXES]}}
        return [doc async for doc in mongo.db["system.profile"].find(ours)]
    finally:
        await mongo.client.drop_database(mongo.db.name)
        await mongo.close()


def shape(entry: Doc) -> str:
    """The query, for the message of a failed assertion."""
    command: Any = entry.get("command", {})
    return (
        f"{entry['op']} {entry['ns'].split('.')[1]} {command.get('filter') or command.get('q') or command.get('query')}"
    )


async def test_no_query_scans_a_collection_or_sorts_in_memory(profile: list[Doc]) -> None:
    planned = [entry for entry in profile if "planSummary" in entry]
    assert {entry["ns"].split(".")[1] for entry in planned} >= {
        "users",
        "tweets",
        "follows",
        "likes",
        "sessions",
        "system",
    }
    assert len(planned) > 50
    assert [shape(entry) for entry in planned if "COLLSCAN" in entry["planSummary"]] == []
    assert [shape(entry) for entry in planned if entry.get("hasSortStage")] == []
    assert [shape(entry) for entry in planned if entry.get("usedDisk")] == []


def stages(plan: Any) -> Iterator[str]:
    """The names of all stages of an explained plan, however deep."""
    if isinstance(plan, dict):
        if isinstance(plan.get("stage"), str):
            yield plan["stage"]
        for name, part in plan.items():
            yield from stages(part) if name != "rejectedPlans" else ()
    elif isinstance(plan, list):
        for part in plan:
            yield from stages(part)


async def test_finds_that_go_together_are_each_answered_from_an_index_alone(mongo: Mongo) -> None:
    people = await fill(mongo)
    follows, entries = Follows(mongo), Entries(Tweets(mongo), Retweets(mongo))
    ann, bob = people[0], people[1]
    both, liked = [(one, other) for one in (ann, bob) for other in people[:20]], people[:20]
    cases: list[list[Asked[Any]]] = [
        [*entries.find_newest(ann, 21, None), follows.find_top_followees(bob)],
        [follows.find_existing(both), Blocks(mongo).find_regards(both), Likes(mongo).find_liked(bob, liked)],
        [
            follows.find_followers_among({bob: people[:20], ann: [bob]}),
            follows.count_followers_among({bob: people[:20], ann: [bob]}),
            Blocks(mongo).find_regards_of_many(people[:20], [ann, bob]),
        ],
        [Retweets(mongo).find_retweeted(bob, liked)],
        # Of several people at once.
        [follows.find_top_followees(one) for one in people[:30]],
        [Likes(mongo).find_liked(one, liked) for one in people[:30]],
    ]
    for asked in cases:
        looks = [one for one in asked if isinstance(one, Look)]
        groups = [[one for one in looks if one.kind is kind] for kind in {look.kind for look in looks}]
        for find in [one for one in asked if isinstance(one, Find)] + [as_one(group) for group in groups]:
            told = {"aggregate": find.name, "pipeline": find.stages(0), "cursor": {}}
            explained = await mongo.db.command("explain", told, verbosity="executionStats")
            assert "IXSCAN" in stages(explained), explained
            assert not {"COLLSCAN", "SORT", "FETCH"} & {*stages(explained)}, explained
        found = await together(*asked)
        assert found == [await one.alone() for one in asked]
        assert any(found) or len(asked) in (1, 30)


def gives(entry: Doc) -> int:
    """How many documents it gave or changed, at least one."""
    counts: list[int] = [entry.get(name, 0) for name in ("nreturned", "nMatched", "nModified", "ndeleted")]
    return max(1, *counts)


async def test_no_query_reads_much_more_than_it_gives(profile: list[Doc]) -> None:
    # A merge of index scans looks once into each of up to 200 ranges.
    wasteful = [
        shape(entry)
        for entry in profile
        if entry.get("docsExamined", 0) > 2 * gives(entry) or entry.get("keysExamined", 0) > 3 * gives(entry) + 2 * 200
    ]
    assert wasteful == []


async def test_edges_are_looked_up_in_the_index_alone(profile: list[Doc]) -> None:
    lookups = [
        entry
        for entry in profile
        if entry["op"] == "query"
        and entry["ns"].split(".")[1] in ("follows", "likes")
        and "$in" in entry["command"]["filter"].get("_id", {})
    ]
    assert len(lookups) == 2
    assert [shape(entry) for entry in lookups if entry["docsExamined"]] == []


async def test_followees_are_read_from_the_index_alone(profile: list[Doc]) -> None:
    (found,) = (e for e in profile if e["op"] == "query" and e["command"].get("projection") == {"_id.a": 1, "at": 1})
    assert found["nreturned"] > 100
    assert found["docsExamined"] == 0


async def test_followers_of_several_are_read_from_the_index_alone(profile: list[Doc]) -> None:
    (found,) = (e for e in profile if e["ns"].endswith("follows") and "$group" in str(e["command"].get("pipeline")))
    assert found["keysExamined"] > PEOPLE
    assert found["docsExamined"] == 0


async def test_entry_ids_are_read_from_the_index_alone(profile: list[Doc]) -> None:
    newest = {"sort": {"_id": -1}, "projection": {"_id": 1}}
    asked = [e for e in profile if e["op"] == "query" and newest.items() <= e["command"].items()]
    # The profiler shortens longer queries; of people, of one, of 200, of ten with and without the rules.
    assert len(asked) > 20
    assert [shape(entry) for entry in asked if entry["docsExamined"]] == []


async def test_indexes_are_made_once(mongo: Mongo) -> None:
    before = {name: await mongo.db[name].index_information() for name in INDEXES}
    await mongo.ensure_indexes()
    assert {name: await mongo.db[name].index_information() for name in INDEXES} == before
    assert {name: max(len(found) - 1, 0) for name, found in before.items()} == {
        name: len(made) for name, made in INDEXES.items()
    }


async def test_writes_wait_for_the_majority_and_are_retried_and_reads_ask_the_primary(mongo: Mongo) -> None:
    for name in INDEXES:
        assert mongo.db[name].write_concern.document == {"w": "majority"}
        assert mongo.db[name].read_preference.name == "Primary"
    options: Any = mongo.client.options
    assert options.retry_writes
    assert options.retry_reads


async def test_a_transaction_is_there_whole_or_not_at_all(mongo: Mongo) -> None:
    async def work(session: Session) -> int:
        await mongo.system.insert_one({"_id": "one"}, session=session)
        await mongo.likes.insert_one({"_id": "two"}, session=session)
        assert await mongo.system.count_documents({}) == 0
        return await mongo.system.count_documents({}, session=session)

    async def fails(session: Session) -> None:
        await mongo.system.delete_many({}, session=session)
        raise ConnectionError

    assert await bulk.atomically(mongo, work) == 1
    with pytest.raises(ConnectionError):
        await bulk.atomically(mongo, fails)
    assert (await mongo.system.count_documents({}), await mongo.likes.count_documents({})) == (1, 1)


async def test_an_aggregation_gives_all_it_finds_beyond_a_first_batch(mongo: Mongo) -> None:
    await mongo.system.insert_many([{"_id": number} for number in range(250)])
    found = await aggregated(mongo.system, [{"$match": {"_id": {"$gte": 0}}}, {"$sort": {"_id": 1}}])
    assert [doc["_id"] for doc in found] == [*range(250)]


async def test_times_come_back_in_utc(mongo: Mongo) -> None:
    await mongo.system.insert_one({"_id": "t", "at": NOW})
    found = await mongo.system.find_one({"_id": "t"})
    assert found == {"_id": "t", "at": NOW}
    assert found["at"].utcoffset() == timedelta(0)


async def test_the_cluster_time_is_not_behind_the_last_write(mongo: Mongo) -> None:
    before = await mongo.cluster_time()
    await mongo.system.insert_one({"_id": "t"})
    assert await mongo.cluster_time() > before
    await mongo.ping()

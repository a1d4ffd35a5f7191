"""The reconciler: every fault that is planted is found and repaired, and what is merely under way is none."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from datastore import bulk, demo_world, ids
from datastore.drift import Kind
from datastore.quiet import Quiet
from datastore.recounts import Recounts
from datastore.settings import Settings
from realtime.reconcile import Report
from tests.flows.reconciling import SHARED, Fault, Faults, World, all_repaired, found, populate, world
from tests.flows.reconciling_load import delete_account, load, slow_likers
from tests.processes import Cluster

# Each kind of fault, and the comparison without which nobody finds it.
FOUND_BY = {
    "user counters": ["followers", "following", "tweets"],
    "tweet counters": [
        "likes",
        "retweets",
        "replies",
        "engagement",
        "repliers",
        "repliers lost",
        "repliers surplus",
        "place",
    ],
    "user names": ["names"],
    "tweet texts": ["terms", "mentions", "reply author"],
    "retweets": ["retweeted"],
    "author roads": ["lost promotion"],
    "follow flags": ["flag missing", "flag surplus"],
    "timelines": ["timeline missing", "timeline surplus"],
    "recent lists": ["recent missing", "recent surplus"],
    "top lists": ["top missing", "top surplus", "top misplaced"],
    "reserved names": ["name unreserved", "name reserved", "name of another"],
    "reserved emails": ["email unreserved", "email reserved"],
    "reserved pairs": ["pair unreserved", "pair reserved"],
    "reserved imports": ["import unreserved", "import reserved"],
}


@pytest.fixture(scope="module")
async def shared(settings: Settings) -> AsyncIterator[World]:
    async with world(settings, 24, SHARED) as made:
        await populate(made, random.Random(5))
        yield made


@pytest.fixture
async def populated(shared: World) -> AsyncIterator[World]:
    """A world without drift, and without it again afterwards."""
    yield shared
    await shared.settle()
    await shared.once()
    await shared.read(shared.people)


async def hundred(faults: Faults) -> list[Fault]:
    """At least a hundred faults, each kind among them."""
    planted: list[Fault] = []
    for kind in faults.kinds:
        planted += await faults.plant(kind)
    many = [kind for name in list(FOUND_BY)[:5] for kind in FOUND_BY[name]]
    while len(planted) < 100:
        planted += await faults.plant(faults.chance.choice(many))
    assert len(set(planted)) == len(planted)
    return planted


async def test_a_world_without_faults_has_no_drift(populated: World) -> None:
    report = await populated.once()
    assert found(report) == set()
    assert [kind for kind, count in report.compared.items() if not count] == []


async def test_a_hundred_faults_of_every_kind_are_found_and_repaired_in_one_pass(populated: World) -> None:
    planted = await hundred(Faults(populated, random.Random(9)))
    looked = await populated.once(repair=False)
    # In a pass that repairs nothing, a wrong counter or place shows in what is derived from it as well.
    assert found(looked) >= set(planted)
    assert looked.left == len(looked.drifts)
    report = await populated.once()
    assert found(report) == set(planted)
    assert all_repaired(report)
    assert found(await populated.once()) == set()


async def test_without_its_comparison_a_fault_stays(populated: World) -> None:
    faults = Faults(populated, random.Random(3))
    comparisons = populated.reconciler.comparisons
    assert {name: kind for name in FOUND_BY for kind in FOUND_BY[name]}.keys() == {each.name for each in comparisons}
    assert {kind for kinds in FOUND_BY.values() for kind in kinds} == set(faults.kinds)
    for comparison in comparisons:
        planted = [fault for kind in FOUND_BY[comparison.name] for fault in await faults.plant(kind)]
        populated.reconciler.comparisons = [each for each in comparisons if each is not comparison]
        report = await populated.once()
        assert not found(report) & set(planted), comparison.name
        populated.reconciler.comparisons = comparisons
        assert found(await populated.once()) == set(planted), comparison.name


async def test_nothing_is_found_while_everybody_writes_and_nothing_that_was_right_is_repaired(
    settings: Settings,
) -> None:
    async with world(settings, 24, reconcile_grace_seconds=2.0) as busy:
        tweets = await populate(busy, random.Random(7))
        async with load(busy, tweets, 11) as done:
            await delete_account(busy, busy.people.pop())
            reports = [await busy.once()]
        assert done[0] > 200
        await busy.settle()
        reports.append(await busy.once())
    assert [found(report) for report in reports] == [set(), set()]


async def test_what_is_under_way_is_told_from_drift_by_the_quiet_around_it(
    populated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tweet = await populated.tweet(populated.people[1], "hot")
    stale = await populated.tweet(populated.people[1], "not hot")
    await populated.mongo.tweets.update_one({"_id": stale.id}, {"$set": {"likes": 3}})
    async with slow_likers(populated, tweet, 0.2):
        report = await populated.once(repair=False)
        assert {subject for _, subject, _ in found(report)} == {stale.id}
        assert report.busy > 0

        async def quiet(*_: object) -> set[object]:
            return set()

        # The control: a second look alone is fooled.
        monkeypatch.setattr(Quiet, "touched", quiet)
        reports = [await populated.once(repair=False) for _ in range(3)]
        assert tweet.id in {subject for each in reports for _, subject, _ in found(each)}


async def test_a_write_that_takes_its_time_is_no_drift(populated: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tweet, liker = await populated.tweet(populated.people[1], "hot"), populated.people[2]
    await populated.mongo.likes.insert_one({"_id": {"t": tweet.id, "u": liker}, "at": ids.now_ms()})
    suspected: list[int] = []
    now = Quiet.now

    async def counted_then(quiet: Quiet) -> object:
        """Between the first look and the second."""
        if not suspected:
            await populated.likes._count(liker, tweet.id, 1)
        suspected.append(tweet.id)
        return await now(quiet)

    monkeypatch.setattr(Quiet, "now", counted_then)
    report = await populated.once()
    assert suspected == [tweet.id]
    assert found(report) == set()
    assert found(await populated.once()) == set()


async def test_a_like_between_the_proof_and_the_repair_is_not_lost(
    populated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tweet = await populated.tweet(populated.people[1], "hot")
    await populated.mongo.tweets.update_one({"_id": tweet.id}, {"$set": {"likes": 5}})
    asked = []
    touched = Quiet.touched

    async def liked_then(quiet: Quiet, *about: Any) -> set[Any]:
        """Behind what is proved, and before what is written."""
        found = await touched(quiet, *about)
        asked.append(len(found))
        if len(asked) == 1:
            await populated.likes.add(populated.people[2], tweet.id, ids.now_ms())
        return found

    monkeypatch.setattr(Quiet, "touched", liked_then)
    report = await populated.once()
    assert found(report) == {(Kind.LIKES, tweet.id, 0)}
    # The proof, undone by the like; again, and not quiet; in the next round, quiet.
    assert [count > 0 for count in asked[:3]] == [False, True, False]
    doc = await populated.mongo.tweets.find_one({"_id": tweet.id})
    assert doc
    assert (doc["likes"], doc["engagement"]) == (1, 1)


async def test_what_a_pass_that_died_has_not_repaired_the_next_one_does(populated: World) -> None:
    planted = await hundred(Faults(populated, random.Random(13)))
    first = Report()
    for comparison in populated.reconciler.comparisons[:4]:
        suspects: list[object] = []
        async for look in populated.reconciler._looks(comparison, None, first):
            suspects += look.suspects
        await populated.reconciler._judge(comparison, suspects, first, repair=True)
    rest = await populated.once()
    assert found(first) | found(rest) == set(planted)
    assert not found(first) & found(rest)
    assert found(await populated.once()) == set()


async def test_two_at_once_repair_once(populated: World) -> None:
    planted = await hundred(Faults(populated, random.Random(17)))
    reports = await asyncio.gather(populated.once(), populated.once())
    assert found(reports[0]) | found(reports[1]) == set(planted)
    assert found(await populated.once()) == set()


async def test_no_query_scans_a_collection_or_sorts_in_memory(populated: World) -> None:
    await hundred(Faults(populated, random.Random(29)))
    db = populated.mongo.db
    await db.command("profile", 2)
    try:
        await populated.once()
    finally:
        await db.command("profile", 0)
    collections = ("users", "tweets", "retweets", "follows", "likes")
    ours = {"ns": {"$in": [f"{db.name}.{name}" for name in collections]}, "planSummary": {"$exists": True}}
    asked = [entry async for entry in db["system.profile"].find(ours)]
    assert len(asked) > 100
    slow = [e for e in asked if "COLLSCAN" in e["planSummary"] or e.get("hasSortStage") or e.get("usedDisk")]
    assert [(e["op"], e["ns"], e["command"]) for e in slow] == []


async def test_numbers_of_the_much_followed_are_counted_in_steps(populated: World) -> None:
    whole, steps = Recounts(populated.mongo), Recounts(populated.mongo, at_once=7)
    people = populated.people
    for collection, side, other, owners in (("follows", "a", "f", people), ("follows", "f", "a", people)):
        assert await steps.edges(collection, side, other, owners) == await whole.edges(collection, side, other, owners)
    authors = {doc["_id"]: doc["author"] async for doc in populated.mongo.tweets.find({"alive": True}, {"author": 1})}
    tweets = list(authors)
    assert await steps.edges("likes", "t", "u", tweets) == await whole.edges("likes", "t", "u", tweets)
    assert await steps.entries("tweets", "author", people) == await whole.entries("tweets", "author", people)
    assert await steps.entries("retweets", "tweet", tweets) == await whole.entries("retweets", "tweet", tweets)
    assert await steps.replies(authors) == await whole.replies(authors)
    assert sum((await whole.edges("follows", "a", "f", people)).values()) > 100


async def test_the_small_world_has_no_drift(settings: Settings) -> None:
    async with world(settings, 1, reconcile_slice=200) as made:
        # Not planted as one transaction: on a busy machine that outlives what the embedded server allows one.
        small = demo_world.generate("a hash", ids.now_ms(), 2006)
        await bulk.insert_people(made.mongo, small.users, None)
        for name in ("follows", "tweets", "likes", "repliers"):
            await made.mongo.db[name].insert_many(getattr(small, name))
        await made.rooms.top_users.promote_all()
        await made.read([doc["_id"] async for doc in made.mongo.users.find({}, {"_id": 1}).limit(20)])
        report = await made.once()
    assert found(report) == set()
    assert report.compared[Kind.LIKES] >= 2000


async def test_the_command_finds_and_repairs_and_says_so_by_its_exit_code(
    apart: tuple[str, str], tmp_path: Path
) -> None:
    cluster = Cluster(apart, tmp_path, RECONCILE_GRACE_SECONDS="0.3")
    try:
        await cluster.start("serve")
        async with cluster.perch() as perch:
            ann = await perch.person()
            await ann.post("hello")
            await perch.mongo.users.update_one({"username": ann.username}, {"$set": {"tweets": 7}})
            codes = []
            for more in (["--check"], [], ["--check"]):
                process = await cluster.start("reconcile", *more)
                codes.append(await asyncio.wait_for(process.wait(), 60))
            assert codes == [1, 0, 0]
            doc = await perch.mongo.users.find_one({"username": ann.username})
            assert doc
            assert doc["tweets"] == 1
        assert "user.tweets" in (tmp_path / "reconcile.2.log").read_text()
    finally:
        await cluster.stop()


async def test_the_sweep_finds_them_by_itself_pass_after_pass(settings: Settings) -> None:
    waits: dict[str, Any] = {"reconcile_every_seconds": 0.1, "reconcile_pause_seconds": 0.0, "lease_seconds": 0.2}
    async with world(settings, 12, **waits) as swept:
        await populate(swept, random.Random(19))
        faults = Faults(swept, random.Random(23))
        for kind in ("likes", "timeline missing", "names"):
            await faults.plant(kind)
            async with asyncio.timeout(60):
                while found(await swept.once(repair=False)):
                    await asyncio.sleep(0.1)
        doc = await swept.mongo.system.find_one({"_id": "reconcile"})
        assert doc
        assert doc["pass"] > 1

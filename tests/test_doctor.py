"""Doctor: each thing that can be wrong is found on real servers, with what to do; what is well is said to be."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import app
from datastore.changes import Changes
from datastore.doctor import MongoDoctor, files_finding, index_finding, of_settings, oplog_finding
from datastore.findings import Finding, Verdict, clock, looked
from datastore.mongo import Mongo
from datastore.passes import Passes
from datastore.processes import DevServerError
from datastore.settings import Settings
from realtime import keys
from realtime.connect import Client, for_requests
from realtime.devserver import valkey
from realtime.doctor import PipelineDoctor, RedisDoctor
from tests.perch import Perch, free_port

OK, WARNING, WRONG = Verdict.OK, Verdict.WARNING, Verdict.WRONG


def by_name(found: list[Finding]) -> dict[str, Finding]:
    for one in found:
        assert bool(one.todo) >= (one.verdict is not OK), one
    return {one.name: one for one in found}


@pytest.fixture
async def mongo(urls: tuple[str, str]) -> AsyncIterator[Mongo]:
    """A database of this test's own, with its indexes."""
    opened = Mongo(urls[0], f"doctor_{secrets.token_hex(4)}")
    await opened.ensure_indexes()
    yield opened
    await opened.client.drop_database(opened.db.name)
    await opened.close()


@pytest.fixture(scope="module")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A Redis of this module's own, which tests set as they like."""
    async with valkey(tmp_path_factory.mktemp("doctor") / "redis") as url:
        client = for_requests(url)
        yield client
        await client.aclose()


@asynccontextmanager
async def set_to(redis: Client, name: str, value: str) -> AsyncIterator[None]:
    before = str((await redis.config_get(name))[name])
    await redis.config_set(name, value)
    try:
        yield
    finally:
        await redis.config_set(name, before)


async def redis_findings(redis: Client) -> dict[str, Finding]:
    return by_name(await RedisDoctor(redis).findings())


async def test_of_a_running_perch_nothing_is_wrong(perch: Perch, capsys: pytest.CaptureFixture[str]) -> None:
    await perch.settle()
    await perch.redis.delete(keys.DEAD_LETTERS)
    await app.doctor(perch.settings, as_json=True)
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out.splitlines()[-1])}
    assert not [one for one in found.values() if one["verdict"] == WRONG]
    well = ["mongo.answers", "mongo.indexes", "mongo.clock", "redis.version", "redis.eviction", "redis.persistence"]
    well += ["redis.clock", "pipeline.relay", "pipeline.workers", "pipeline.dead_letters"]
    assert {name: found[name]["verdict"] for name in well} == dict.fromkeys(well, OK)


async def test_stores_that_are_away_are_told_and_nothing_else_is_asked_of_them(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    away = {"mongo_url": f"mongodb://127.0.0.1:{free_port()}/?replicaSet=rs0"}
    away["redis_url"] = f"redis://127.0.0.1:{free_port()}/0"
    with pytest.raises(DevServerError, match="2 of 6 are wrong"):
        await app.doctor(settings.model_copy(update=away), as_json=False)
    lines = capsys.readouterr().out
    assert "wrong    mongo.answers" in lines
    assert "see MONGO_URL, the network" in lines
    assert "wrong    redis.answers" in lines


async def test_anything_wrong_is_an_error_of_the_command(urls: tuple[str, str], settings: Settings) -> None:
    # Nobody works in this database.
    alone = settings.model_copy(update={"mongo_database": f"doctor_{secrets.token_hex(4)}"})
    with pytest.raises(DevServerError, match="are wrong"):
        await app.doctor(alone, as_json=False)


async def test_indexes_that_are_missing_different_or_extra_are_named(mongo: Mongo) -> None:
    assert by_name(await MongoDoctor(mongo, 6).findings())["mongo.indexes"].verdict is OK
    await mongo.likes.create_index([("at", 1)])
    assert by_name(await MongoDoctor(mongo, 6).findings())["mongo.indexes"].verdict is WARNING
    await mongo.users.drop_index("name_key_1__id_1")
    await mongo.users.create_index([("name_key", 1)], unique=True)
    await mongo.idempotency.drop_index("at_1")
    await mongo.idempotency.create_index([("at", 1)], expireAfterSeconds=5)
    found = by_name(await MongoDoctor(mongo, 6).findings())["mongo.indexes"]
    assert found.verdict is WRONG
    assert found.told == (
        "missing: users(name_key 1, _id 1); different: idempotency(at 1); extra: likes(at 1); "
        "of the version before: users(name_key 1)"
    )


async def test_one_member_and_a_slow_election_are_doubtful(mongo: Mongo) -> None:
    found = by_name(await MongoDoctor(mongo, request_seconds=2).findings())
    assert found["mongo.members"].verdict is WARNING
    assert found["mongo.election"].verdict is WARNING
    assert by_name(await MongoDoctor(mongo, request_seconds=14).findings())["mongo.election"].verdict is OK
    assert found["mongo.version"].verdict is not WRONG
    assert found["mongo.transactions"].verdict is OK


@pytest.mark.parametrize(
    ("hours", "filled", "verdict"), [(0.2, 0.5, OK), (0.2, 1.0, WRONG), (30, 0.95, WARNING), (72, 0.99, OK)]
)
def test_an_oplog_is_judged_by_its_hours_once_it_is_full(hours: float, filled: float, verdict: Verdict) -> None:
    assert oplog_finding(hours, filled).verdict is verdict


@pytest.mark.parametrize(("apart", "verdict"), [(0.2, OK), (-3, WARNING), (11, WRONG)])
def test_clocks_that_are_apart_are_told(apart: float, verdict: Verdict) -> None:
    assert clock("redis.clock", 1000 + apart, 1000).verdict is verdict


@pytest.mark.parametrize(("limit", "verdict"), [(1000, WRONG), (1024, WARNING), (65_536, OK)])
def test_few_open_files_are_told(limit: int, verdict: Verdict) -> None:
    assert files_finding(limit).verdict is verdict


def test_no_index_at_fault_is_no_finding() -> None:
    assert index_finding([], [], []).verdict is OK


@pytest.mark.parametrize(
    ("name", "value", "finding", "verdict"),
    [
        ("maxmemory-policy", "allkeys-lru", "redis.eviction", WRONG),
        ("maxmemory-policy", "volatile-lru", "redis.eviction", OK),
        ("appendonly", "no", "redis.persistence", WARNING),
        ("notify-keyspace-events", "KEA", "redis.notifications", WARNING),
        ("maxmemory", "1gb", "redis.memory", OK),
        ("maxmemory", "1mb", "redis.memory", WRONG),
        ("maxclients", "33", "redis.connections", OK),
    ],
)
async def test_each_setting_of_redis_is_judged(
    bare: Client, name: str, value: str, finding: str, verdict: Verdict
) -> None:
    async with set_to(bare, name, value):
        assert (await redis_findings(bare))[finding].verdict is verdict


async def test_what_may_not_be_asked_is_a_warning_and_no_crash(bare: Client) -> None:
    await bare.acl_setuser("default", commands=["-config"])
    try:
        assert (await redis_findings(bare))["redis.eviction"].told == "could not be looked at: NoPermissionError"
    finally:
        await bare.acl_setuser("default", commands=["+config"])


async def test_a_redis_that_is_a_replica_is_wrong(bare: Client) -> None:
    await bare.replicaof("127.0.0.1", free_port())
    try:
        assert (await redis_findings(bare))["redis.answers"].verdict is WRONG
    finally:
        await bare.replicaof("NO", "ONE")


async def test_what_follows_is_judged_by_its_relay_workers_events_and_drift(
    mongo: Mongo, bare: Client, settings: Settings
) -> None:
    await bare.flushall()
    changes = Changes(mongo)
    doctor = PipelineDoctor(changes, bare, settings)
    found = by_name(await doctor.findings())
    assert [found[f"pipeline.{name}"].verdict for name in ("relay", "workers", "drift")] == [WRONG, WRONG, OK]
    await changes.prepare()
    await changes.lease("somebody", 60)
    await bare.zadd(keys.WORKERS, {"somebody": 10**15})
    letter: Any = {"e": "TweetPosted", "why": "a test", "from": "events:0"}
    await bare.xadd(keys.DEAD_LETTERS, letter)
    await bare.xgroup_create(keys.events(0), keys.GROUP, id="0", mkstream=True)
    await bare.xadd(keys.events(0), letter, id="1000-0")
    passes = Passes(mongo, "somebody")
    await passes.prepare(0)
    assert await passes.take(60)
    assert await passes.finish(0, drifted=2, left=0)
    found = by_name(await doctor.findings())
    assert found["pipeline.relay"].verdict is OK
    assert found["pipeline.workers"].verdict is WARNING  # it holds no partition
    assert found["pipeline.dead_letters"].verdict is WARNING
    assert found["pipeline.backlog"].verdict is WRONG
    assert found["pipeline.drift"].verdict is WARNING
    assert await passes.take(60)
    assert await passes.finish(60, drifted=2, left=2)
    assert by_name(await doctor.findings())["pipeline.drift"].verdict is WRONG


async def test_a_check_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datastore.findings.LOOK_SECONDS", 0.01)

    async def hangs() -> Finding:
        await asyncio.Event().wait()
        raise AssertionError

    (found,) = await looked({"a": hangs})
    assert found.verdict is WARNING


@pytest.mark.parametrize(
    ("changed", "name", "verdict"),
    [
        ({}, "settings.secret_key", OK),
        ({"secret_key": "x" * 40}, "settings.secret_key", WRONG),
        ({"host": "0.0.0.0"}, "settings.profile", WARNING),  # noqa: S104
        ({"profile": "production"}, "settings.profile", WRONG),  # its budgets are off in tests
        ({"profile": "production", "rate_limits": True}, "settings.profile", OK),
        ({}, "settings.tls", OK),
        ({"mongo_url": "mongodb://db1:1,db2:2/?replicaSet=a"}, "settings.tls", WARNING),
        ({"mongo_url": "mongodb://u:p@db1:1,db2:2/?replicaSet=a&tls=true"}, "settings.tls", OK),
        ({"mongo_url": "mongodb+srv://db/"}, "settings.tls", OK),
        ({"redis_url": "redis://:word@cache:6379/0"}, "settings.tls", WARNING),
        ({"redis_url": "rediss://:word@cache:6379/0"}, "settings.tls", OK),
        ({"redis_url": "redis+cluster://:word@a:6379,b:6379"}, "settings.tls", WARNING),
        ({"redis_url": "rediss+cluster://:word@a:6379,b:6379"}, "settings.tls", OK),
    ],
)
def test_settings_are_judged(settings: Settings, changed: dict[str, Any], name: str, verdict: Verdict) -> None:
    if "secret_key" in changed:
        changed = {"secret_key": type(settings.secret_key)(changed["secret_key"])}
    found = by_name(of_settings(settings.model_copy(update=changed)))[name]
    assert found.verdict is verdict
    assert "word" not in found.told

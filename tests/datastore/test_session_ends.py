"""Session ends: every process learns of every end, whatever happens to its stream meanwhile."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

import datastore.session_ends as module
from datastore.mongo import AutoReconnect, Mongo, OperationFailure
from datastore.session_ends import SessionEnds
from datastore.sessions import Sessions

NOW_MS = 1_980_000_000_000
PATIENCE_SECONDS = 10


@pytest.fixture
def sessions(mongo: Mongo) -> Sessions:
    return Sessions(mongo, timedelta(days=30))


async def opened(sessions: Sessions, count: int) -> list[int]:
    return [(await sessions.add(7, b"x", None, NOW_MS + n)).id for n in range(count)]


async def following(ends: SessionEnds, open_ids: list[int]) -> AsyncIterator[int]:
    """What `ends` tells from now on: its stream is open when this gives its first id."""
    async for session_id in ends.follow(lambda: open_ids):
        yield session_id


async def told(stream: AsyncIterator[int], wanted: set[int]) -> None:
    """Wait until all of these have been told."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while wanted:
            wanted -= {await anext(stream)}


async def test_an_end_is_told_however_it_came_about(mongo: Mongo, sessions: Sessions) -> None:
    one, two, three, four, kept = await opened(sessions, 5)
    gone = await sessions.add(8, b"x", None, NOW_MS)
    await sessions.end(gone.id)
    stream = following(SessionEnds(mongo), [gone.id, kept])
    await told(stream, {gone.id})  # ended before anybody looked
    await sessions.end(one)
    await sessions.revoke(7, two)
    await mongo.sessions.delete_one({"_id": three})
    await sessions.end_all(7, but=kept)
    await told(stream, {one, two, three, four})
    assert await SessionEnds(mongo).among([one, kept, four]) == {one, four}


class Broken:
    """A database whose sessions' change stream fails to open when told to."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self.sessions = self
        self.failures: list[Exception] = []
        self.opened: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mongo if name == "cluster_time" else self._mongo.sessions, name)

    async def watch(self, pipeline: Any, **options: Any) -> Any:
        self.opened.append(options)
        if self.failures:
            raise self.failures.pop(0)
        stream: Any = self._mongo.sessions.watch(pipeline, **options)
        self.stream = await stream if inspect.isawaitable(stream) else stream
        return self.stream


async def test_a_broken_stream_is_resumed_and_a_lost_history_is_looked_up(
    mongo: Mongo, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    first, second, third, kept = await opened(sessions, 4)
    gone = await sessions.add(8, b"x", None, NOW_MS)
    await sessions.end(gone.id)
    broken: Any = Broken(mongo)
    open_ids = [gone.id, second, third, kept]
    stream = following(SessionEnds(broken), open_ids)
    await told(stream, {gone.id})
    await sessions.end(first)
    await told(stream, {first})
    for failures, ended in (
        ([AutoReconnect("gone"), OperationFailure("not primary", 10107)], second),
        ([OperationFailure("lost", 286)], third),
    ):
        broken.failures = [*failures]
        await broken.stream.close()
        monkeypatch.setattr(broken.stream, "try_next", fail)
        await sessions.end(ended)
        await told(stream, {ended})
    await sessions.end(kept)
    await told(stream, {kept})
    names = ["start_at_operation_time" if "start_at_operation_time" in each else "resume" for each in broken.opened]
    assert names[0] == names[-1] == "start_at_operation_time"
    assert "resume" in names


async def fail() -> None:
    raise AutoReconnect("the connection is gone")


async def test_ends_are_told_when_the_collection_was_dropped_and_after_that(
    mongo: Mongo, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    gone, dropped = await opened(sessions, 2)
    await sessions.end(gone)
    open_ids = [gone, dropped]
    stream = following(SessionEnds(mongo), open_ids)
    await told(stream, {gone})
    await mongo.sessions.drop()
    await told(stream, {dropped})
    (later,) = await opened(sessions, 1)
    open_ids[:] = [later]
    telling = asyncio.create_task(told(stream, {later}))
    await sessions.end(later)
    await telling

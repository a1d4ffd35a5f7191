"""How PyMongo's connections are waited for: in time, by nobody who has left, and never for somebody else's answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import network_layer

from datastore.mongo import Mongo, PyMongoError, aggregated, is_outage, within

SLOW_SECONDS = 0.3


@pytest.fixture
async def mongo(mongo_url: str) -> AsyncIterator[Mongo]:
    mongo = Mongo(mongo_url, "test_datastore", driver="pymongo")
    await mongo.ping()
    yield mongo
    await mongo.close()


async def said(mongo: Mongo, word: str, seconds: float = 0) -> Any:
    """What MongoDB says again, after a while."""
    body = f"function(word) {{ sleep({1000 * seconds}); return word }}"
    says = {"$function": {"body": body, "args": [word], "lang": "js"}}
    (doc,) = await aggregated(mongo.db, [{"$documents": [{}]}, {"$project": {"word": says}}])
    return doc["word"]


async def test_who_is_out_of_time_is_told_so_and_the_next_one_gets_their_own_answer(mongo: Mongo) -> None:
    with within(SLOW_SECONDS / 6), pytest.raises(PyMongoError) as told:
        await said(mongo, "late", SLOW_SECONDS)
    assert is_outage(told.value)
    assert [await said(mongo, word) for word in "abc"] == [*"abc"]


async def test_a_socket_that_says_nothing_for_too_long_is_given_up(mongo_url: str) -> None:
    hasty = Mongo(mongo_url, "test_datastore", driver="pymongo", answer_ms=100)
    try:
        with pytest.raises(PyMongoError) as told:
            # More than twice as long: a read is tried once more.
            await said(hasty, "late", 4 * SLOW_SECONDS)
        assert is_outage(told.value)
        assert await said(hasty, "a") == "a"
    finally:
        await hasty.close()


async def test_who_leaves_ends_their_own_command_alone(mongo: Mongo) -> None:
    leaving = asyncio.create_task(said(mongo, "late", SLOW_SECONDS))
    staying = asyncio.create_task(said(mongo, "slow", SLOW_SECONDS))
    await said(mongo, "a")
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await staying == "slow"
    assert [await said(mongo, word) for word in "abc"] == [*"abc"]


async def test_a_cancellation_that_comes_with_the_answer_is_not_lost(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking: asyncio.Task[Any] | None = None
    updated = network_layer.PyMongoProtocol.buffer_updated

    def cancelled_with_it(protocol: Any, nbytes: int) -> None:
        waiting = [*protocol._pending_messages]
        updated(protocol, nbytes)
        if asking and any(reply.done() for reply in waiting):
            asking.cancel()

    monkeypatch.setattr(network_layer.PyMongoProtocol, "buffer_updated", cancelled_with_it)
    asking = asyncio.create_task(said(mongo, "a"))
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_an_operation_that_the_pool_cancels_waits_no_longer(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_layer, "_POLL_TIMEOUT", 0.02)
    # There is a connection: nobody has to open one first.
    await said(mongo, "a")
    found: list[Any] = []
    asking: asyncio.Task[Any] | None = None
    read = network_layer.PyMongoProtocol.read

    async def noted(protocol: Any, *given: Any) -> Any:
        if asyncio.current_task() is asking:
            found.append(protocol)
        return await read(protocol, *given)

    monkeypatch.setattr(network_layer.PyMongoProtocol, "read", noted)
    began = asyncio.get_running_loop().time()
    asking = asyncio.create_task(said(mongo, "late", 20 * SLOW_SECONDS))
    while not found:
        await asyncio.sleep(0)
    # As the pool does when its monitor finds that the server has gone; the command is tried once more.
    for server in mongo.client._topology._servers.values():
        for context in server.pool.active_contexts:
            context.cancel()
    while len(found) < 2:
        assert asyncio.get_running_loop().time() < began + 10 * SLOW_SECONDS
        await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

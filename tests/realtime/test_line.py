"""The line: everybody's commands over one connection, and each gets its own answer or an error in time."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from realtime import keys
from realtime.cluster import Cluster
from realtime.connect import Client, for_requests
from realtime.line import Line
from realtime.scripts import Scripts
from realtime.slots import slot_of
from tests.perch import Perch

ECHO = "return ARGV[1]"


@asynccontextmanager
async def opened(url: str, timeout_ms: int) -> AsyncIterator[Client]:
    """A client of one server; of a cluster, the one that has the events."""
    client = for_requests(url, timeout_ms)
    slots = client.slots if isinstance(client, Cluster) else None
    yield slots.node(await slots.owner(slot_of(keys.RELAY_MARK))) if slots else client
    await client.aclose()


@pytest.fixture
async def client(perch: Perch) -> AsyncIterator[Client]:
    async with opened(perch.settings.redis_url, 2000) as client:
        yield client


def line_of(client: Client) -> Line:
    line = client.line  # type: ignore[attr-defined]
    assert isinstance(line, Line)
    return line


async def test_of_many_at_once_each_gets_its_own_answer_over_one_connection(client: Client) -> None:
    line = line_of(client)
    words = [secrets.token_hex(4) for _ in range(500)]
    assert await asyncio.gather(*(line.call("ECHO", word) for word in words)) == words
    assert len({*await asyncio.gather(*(line.call("CLIENT", "ID") for _ in words))}) == 1


async def test_what_redis_refuses_is_told_to_whom_it_concerns(client: Client) -> None:
    line = line_of(client)
    wrong = line.call("EVALSHA", "0" * 40, 0), line.call("NOTHING")
    found = await asyncio.gather(line.call("ECHO", "a"), *wrong, line.call("ECHO", "b"), return_exceptions=True)
    assert [found[0], found[3]] == ["a", "b"]
    assert isinstance(found[1], NoScriptError)
    assert isinstance(found[2], ResponseError)


async def test_who_leaves_takes_nobody_elses_answer(client: Client) -> None:
    line = line_of(client)
    waiting = [asyncio.create_task(line.call("ECHO", f"{number}")) for number in range(20)]
    await asyncio.sleep(0)
    for number in range(0, 20, 2):
        waiting[number].cancel()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert found[1::2] == [f"{number}" for number in range(1, 20, 2)]
    assert all(isinstance(one, asyncio.CancelledError) for one in found[::2])


async def test_a_lost_connection_is_replaced_and_a_script_tries_once_more(client: Client) -> None:
    scripts, line, lost = Scripts(client), line_of(client), set[int]()
    for _ in range(3):
        assert await scripts.run("top_position", ["{events}:one", "{events}:other"], "t")
        lost.add(own := await line.call("CLIENT", "ID"))
        await client.client_kill_filter(_id=own)
    assert len(lost) == 3


async def test_nobody_waits_longer_than_they_should(perch: Perch, client: Client) -> None:
    async with opened(perch.settings.redis_url, 200) as hasty:
        line = line_of(hasty)
        assert await line.call("ECHO", "a") == "a"
        await client.client_pause(600)
        with pytest.raises(RedisTimeoutError):
            await line.call("ECHO", "b")
        await client.ping()  # answered once it goes on
        assert await line.call("ECHO", "c") == "c"


async def test_where_nobody_listens_that_is_said_and_those_who_wait_are_told_that_it_is_closed() -> None:
    client = for_requests("redis://127.0.0.1:1/0", 200)
    with pytest.raises(RedisConnectionError):
        await line_of(client).call("ECHO", "a")
    await client.aclose()

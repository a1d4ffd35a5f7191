"""Bodies that are long in coming, or never come: nobody else notices, and no log tells of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from datastore.settings import Settings
from schema import limits
from tests.perch import PATIENCE_SECONDS, Perch, serving

# The head of a request whose body is announced and does not come.
HEAD = b"POST /graphql HTTP/1.1\r\nhost: perch\r\ncontent-type: application/json\r\ncontent-length: 40\r\n\r\n"
AT_ONCE = 2


@pytest.fixture
async def few(settings: Settings) -> AsyncIterator[Perch]:
    """A server that takes four requests at once."""
    async with serving(settings.model_copy(update={"requests_at_once": AT_ONCE})) as perch:
        yield perch


@asynccontextmanager
async def begun(perch: Perch) -> AsyncIterator[asyncio.StreamReader]:
    """A request that stops within its body; gone at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(perch.url.rpartition(":")[2]))
    writer.write(HEAD + b"{")
    try:
        yield reader
    finally:
        writer.transport.abort()


def in_work() -> int:
    """The requests that this process has begun to answer."""
    return sum("run_asgi" in repr(task.get_coro()) for task in asyncio.all_tasks())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_client_that_leaves_before_its_body_has_come_is_nothing_to_tell(
    few: Perch, caplog: pytest.LogCaptureFixture
) -> None:
    uvicorn = logging.getLogger("uvicorn")
    uvicorn.addHandler(caplog.handler)
    try:
        async with begun(few):
            await until(lambda: in_work() == 1)
        await until(lambda: in_work() == 0)
    finally:
        uvicorn.removeHandler(caplog.handler)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_who_is_slow_to_send_takes_no_place_from_those_who_have_sent(few: Perch) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(10 * AT_ONCE):
            await stack.enter_async_context(begun(few))
        await until(lambda: in_work() == 10 * AT_ONCE)
        answer = await few.ask('{ user(username: "nobody") { id } }')
    assert (answer.status, answer.errors) == (200, [])


async def test_a_body_that_does_not_come_is_408_and_the_end_of_the_connection(
    few: Perch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_WAIT_SECONDS", 0.05)
    async with begun(few) as reader, asyncio.timeout(PATIENCE_SECONDS):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"BAD_USER_INPUT"' in answer

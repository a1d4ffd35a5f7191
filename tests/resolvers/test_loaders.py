"""Loaders: each key is read once, together with its neighbours, and one waiter's end is nobody else's."""

import asyncio
from collections.abc import Sequence

import pytest
import strawberry

from resolvers.loaders import Loader


class Batches:
    """A batch function that notes what it was asked for, and waits until it may answer."""

    def __init__(self, open_: bool = True) -> None:
        self.asked: list[list[int]] = []
        self.started, self.may_answer = asyncio.Event(), asyncio.Event()
        if open_:
            self.may_answer.set()

    async def __call__(self, keys: list[int]) -> Sequence[str]:
        self.asked.append(list(keys))
        self.started.set()
        await self.may_answer.wait()
        return [f"value {key}" for key in keys]


async def test_loads_of_one_tick_are_one_batch_and_each_key_is_asked_once() -> None:
    batches = Batches()
    loader: Loader[int, str] = Loader(batches)
    found = await asyncio.gather(*(loader.get(key) for key in (3, 1, 3, 2, 1)))
    assert found == ["value 3", "value 1", "value 3", "value 2", "value 1"]
    assert batches.asked == [[3, 1, 2]]
    assert await loader.get(2) == "value 2"
    assert batches.asked == [[3, 1, 2]]


async def test_a_value_that_a_parent_read_is_there_at_once() -> None:
    batches = Batches()
    loader: Loader[int, str | None] = Loader(batches)
    loader.ready(1, "from the parent")
    loader.ready(2, None)
    assert loader.load(1) == "from the parent"
    assert loader.load(2) is None
    assert await loader.get(1) == "from the parent"
    assert batches.asked == []


async def test_a_large_batch_is_cut_at_1000() -> None:
    batches = Batches()
    loader: Loader[int, str] = Loader(batches)
    found = await asyncio.gather(*(loader.get(key) for key in range(2500)))
    assert found == [f"value {key}" for key in range(2500)]
    assert sorted(len(asked) for asked in batches.asked) == [500, 1000, 1000]


async def test_a_cancelled_waiter_takes_nobody_along() -> None:
    batches = Batches(open_=False)
    loader: Loader[int, str] = Loader(batches)
    first, second = asyncio.create_task(loader.get(7)), asyncio.create_task(loader.get(7))
    await batches.started.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    batches.may_answer.set()
    assert await second == "value 7"
    assert await loader.get(7) == "value 7"
    assert batches.asked == [[7]]


async def test_a_batch_that_fails_fails_all_who_wait_for_it() -> None:
    async def broken(keys: list[int]) -> Sequence[str]:
        raise ValueError("no connection")

    loader: Loader[int, str] = Loader(broken)
    outcomes = await asyncio.gather(*(loader.get(key) for key in (1, 2)), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["no connection"] * 2


async def test_a_batch_that_is_cancelled_leaves_nobody_waiting() -> None:
    async def cancelled(keys: list[int]) -> Sequence[str]:
        raise asyncio.CancelledError

    loader: Loader[int, str] = Loader(cancelled)
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*(loader.get(key) for key in (1, 2)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [RuntimeError] * 2


async def test_a_failed_sibling_does_not_cancel_a_load_that_others_share() -> None:
    batches = Batches(open_=False)
    loader: Loader[int, str] = Loader(batches)

    @strawberry.type
    class Item:
        @strawberry.field
        async def author(self) -> str:
            try:
                return await loader.get(7)
            except asyncio.CancelledError:
                batches.may_answer.set()
                raise

        @strawberry.field
        async def bad(self) -> str:
            await batches.started.wait()
            raise ValueError("this field is broken")

    @strawberry.type
    class Query:
        @strawberry.field
        def a(self) -> Item | None:
            return Item()

        @strawberry.field
        def b(self) -> Item | None:
            return Item()

    schema = strawberry.Schema(Query)
    async with asyncio.timeout(5):
        result = await schema.execute("{ a { bad author } b { author } }")
    assert result.data == {"a": None, "b": {"author": "value 7"}}
    assert [error.message for error in result.errors or []] == ["this field is broken"]
    assert batches.asked == [[7]]

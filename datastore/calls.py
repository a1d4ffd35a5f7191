"""Calls: what MongoDB's two drivers call differently, called in one way. Imports neither of them."""

import inspect
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

Doc = dict[str, Any]
# A collection, a database or a session of either driver. Their calls are the same but for those made here.
Collection: TypeAlias = Any
Session: TypeAlias = Any


async def aggregated(collection: Collection, pipeline: Sequence[Doc], **options: Any) -> list[Doc]:
    """All that an aggregation gives: for pipelines whose answer is bounded."""
    cursor = await made(collection.aggregate(pipeline, **options))
    found: list[Doc] = await cursor.to_list(None)
    return found


def watching(watched: Collection, pipeline: Sequence[Doc], **options: Any) -> AbstractAsyncContextManager[Any]:
    """A change stream of a collection or a database, closed with the block."""
    return opened(watched.watch(pipeline, **options))


@asynccontextmanager
async def opened(making: Any) -> AsyncIterator[Any]:
    """What a call gives, closed with the block."""
    async with await made(making) as found:
        yield found


async def made(making: Any) -> Any:
    """What a call gives: one driver gives it at once where the other gives it later."""
    return await making if inspect.isawaitable(making) else making

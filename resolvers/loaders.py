"""Loaders: batched reads of records, one set per operation and per live event. Nothing here outlives an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from typing import Any, Generic, TypeVar

from aiodataloader import DataLoader

from datastore.blocks import Blocks
from datastore.follows import Follows
from datastore.likes import Likes
from datastore.records import Regard, Tweet, User
from datastore.retweets import Retweets
from datastore.tweets import Tweets
from datastore.users import Users

NEUTRAL = Regard(blocks=False, mutes=False, blocked_by=False)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Batch = Callable[[list[K]], Coroutine[Any, Any, Sequence[V]]]


class Loader(Generic[K, V]):
    """Reads by key, batched over one tick of the loop, each key once."""

    def __init__(self, batch: Batch[K, V]) -> None:
        self._ready: dict[K, V] = {}
        self._loader: DataLoader[K, V] = DataLoader(_contained(batch), max_batch_size=1000)

    def ready(self, key: K, value: V) -> None:
        """Hand in a value that a parent read already: `load` then answers without waiting."""
        self._ready[key] = value

    def load(self, key: K) -> V | Awaitable[V]:
        """The value, or a future of it. The only way to a shared future.

        Shielded: graphql-core cancels the siblings of a failed non-null field, and a cancelled waiter would take the
        future of every other waiter with it.
        """
        if key in self._ready:
            return self._ready[key]
        return asyncio.shield(self._loader.load(key))

    async def get(self, key: K) -> V:
        """The value."""
        found = self.load(key)
        return await found if asyncio.isfuture(found) else found  # type: ignore[return-value]


def _contained(batch: Batch[K, V]) -> Callable[[list[K]], Coroutine[Any, Any, list[V]]]:
    async def load(keys: list[K]) -> list[V]:
        try:
            return list(await batch(keys))
        except asyncio.CancelledError as error:
            # aiodataloader fails its futures for an Exception only: anything else would leave them waiting for ever.
            raise RuntimeError("the batch was cancelled") from error

    return load


class Loaders:
    """One loader per kind of record. Edge loaders answer whether a pair exists."""

    def __init__(
        self, users: Users, tweets: Tweets, follows: Follows, likes: Likes, retweets: Retweets, blocks: Blocks
    ) -> None:
        self.users: Loader[int, User | None] = Loader(users.get_many)
        self.tweets: Loader[int, Tweet | None] = Loader(tweets.get_many)
        self.follows: Loader[tuple[int, int], bool] = Loader(_membership(follows.existing))
        self.likes: Loader[tuple[int, int], bool] = Loader(_membership(likes.existing))
        self.retweets: Loader[tuple[int, int], bool] = Loader(_membership(retweets.existing))
        self.regards: Loader[tuple[int, int], Regard] = Loader(_regards(blocks))


def _membership(existing: Callable[[list[K]], Coroutine[Any, Any, set[K]]]) -> Batch[K, bool]:
    async def load(keys: list[K]) -> list[bool]:
        found = await existing(keys)
        return [key in found for key in keys]

    return load


def _regards(blocks: Blocks) -> Batch[tuple[int, int], Regard]:
    async def load(keys: list[tuple[int, int]]) -> list[Regard]:
        # One viewer an operation, so one round trip.
        viewer_id = keys[0][0]
        found = await blocks.regards(viewer_id, [other for _, other in keys])
        return [found.get(other, NEUTRAL) for _, other in keys]

    return load

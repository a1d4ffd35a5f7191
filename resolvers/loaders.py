"""Loaders: batched reads of records, one set per operation and per live event. Nothing here outlives an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Hashable, Sequence
from typing import Any, Generic, TypeVar

from aiodataloader import DataLoader

from datastore.blocks import Blocks
from datastore.follows import Follows
from datastore.likes import Likes
from datastore.records import Regard, Tweet, User
from datastore.retweets import Retweets
from realtime import telemetry
from realtime.cache import Cache
from realtime.copies import Copies

NEUTRAL = Regard(blocks=False, mutes=False, blocked_by=False)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Batch = Callable[[list[K]], Coroutine[Any, Any, Sequence[V]]]
# How records that are shown are read, by id and by which copies may be used.
Shown = Callable[[Sequence[int], Copies], Awaitable[list[V | None]]]


class Loader(Generic[K, V]):
    """Reads by key, batched over one tick of the loop, each key once."""

    def __init__(self, batch: Batch[K, V], name: str = "other") -> None:
        self._ready: dict[K, V] = {}
        self._batch, self._name = batch, name
        # Made at the first use: most loaders of an operation have none.
        self._loader: DataLoader[K, V] | None = None

    def ready(self, key: K, value: V) -> None:
        """Hand in a value that a parent read already: `load` then answers without waiting."""
        self._ready[key] = value

    def has(self, key: K) -> bool:
        """Whether a value was handed in."""
        return key in self._ready

    def load(self, key: K) -> V | Awaitable[V]:
        """The value, or a future of it. The only way to a shared future.

        Shielded: graphql-core cancels the siblings of a failed non-null field, and a cancelled waiter would take the
        future of every other waiter with it.
        """
        if key in self._ready:
            return self._ready[key]
        if self._loader is None:
            self._loader = DataLoader(_contained(self._batch, self._name), max_batch_size=1000)
        return asyncio.shield(self._loader.load(key))

    async def get(self, key: K) -> V:
        """The value."""
        found = self.load(key)
        return await found if asyncio.isfuture(found) else found  # type: ignore[return-value]


def _contained(batch: Batch[K, V], name: str) -> Callable[[list[K]], Coroutine[Any, Any, list[V]]]:
    async def load(keys: list[K]) -> list[V]:
        telemetry.LOADER_BATCHES.labels(name).inc()
        telemetry.LOADER_KEYS.labels(name).inc(len(keys))
        try:
            return list(await batch(keys))
        except asyncio.CancelledError as error:
            # aiodataloader fails its futures for an Exception only: anything else would leave them waiting for ever.
            raise RuntimeError("the batch was cancelled") from error

    return load


class Loaders:
    """One loader per kind of record. Edge loaders answer whether a pair exists.

    A tweet of a deleted author is absent, from the moment of the deletion until the purge has deleted it too: `tweets`
    sees to it, and every list of tweets must go through `living`.

    Tweets and people come through the cache. `copies` says which ones may be used: a page that has seen whether its
    viewer has just changed something says so here. While it is None that is seen for `reader_id`, when the first ones
    are read, or before by whoever has something else to read first (`see`).
    """

    def __init__(
        self,
        cache: Cache,
        follows: Follows,
        likes: Likes,
        retweets: Retweets,
        blocks: Blocks,
        reader_id: int | None = None,
    ) -> None:
        self._cache, self._reader_id = cache, reader_id
        self.copies: Copies | None = Copies.SHARED if reader_id is None else None
        self._seen: asyncio.Future[Copies | None] | None = None
        # Of tweets, where they are others.
        self.tweet_copies: Copies | None = None
        # The newest replies to a tweet that its parent has read ahead, by the tweet and by how many were asked for.
        self.replies: dict[tuple[int, int], list[Tweet]] = {}
        self.users: Loader[int, User | None] = Loader(self.profiles, "users")
        self.tweets: Loader[int, Tweet | None] = Loader(self.shown, "tweets")
        self.follows: Loader[tuple[int, int], bool] = Loader(_membership(follows.existing), "follows")
        self.likes: Loader[tuple[int, int], bool] = Loader(_membership(likes.existing), "likes")
        self.retweets: Loader[tuple[int, int], bool] = Loader(_membership(retweets.existing), "retweets")
        self.regards: Loader[tuple[int, int], Regard] = Loader(_regards(blocks), "regards")

    def see(self) -> None:
        """Begin to see which copies may be used, if that is not settled."""
        if self.copies is None and self._seen is None and self._reader_id is not None:
            self._seen = self._cache.for_reader(self._reader_id)

    async def profiles(self, user_ids: Sequence[int]) -> list[User | None]:
        """In order, None for who is gone. No loader remembers them."""
        return await self._read(self._cache.users, user_ids, self.copies)

    async def bodies(self, tweet_ids: Sequence[int]) -> list[Tweet | None]:
        """In order, None for what is deleted. Those of deleted authors are among them: the caller asks `living`."""
        return await self._read(self._cache.tweets, tweet_ids, self.tweet_copies or self.copies)

    async def _read(self, read: Shown[V], ids: Sequence[int], use: Copies | None) -> list[V | None]:
        if use is not None:
            return await read(ids, use)
        self.see()
        # Beside that: most readers have changed nothing.
        found = await read(ids, Copies.ALL)
        if self.copies is None and self._seen:
            # Shielded: others may wait for it.
            self.copies = self._seen.result() if self._seen.done() else await asyncio.shield(self._seen)
        return found if self.copies is Copies.ALL else await read(ids, self.copies or Copies.SHARED)

    async def living(self, tweets: Collection[Tweet]) -> list[Tweet]:
        """Those whose author is not gone, in order; their authors are ready afterwards. At most one round trip.

        Why the authors: nearly every operation shows them, and then this costs nothing, since they are read once for
        both; a join in the query would cost the server a look-up for each tweet of every page for ever, for the sake of
        the minutes between a deletion and its purge.
        """
        present = await self.present({tweet.author_id for tweet in tweets})
        return [tweet for tweet in tweets if tweet.author_id in present]

    async def present(self, user_ids: Collection[int]) -> set[int]:
        """Those of the people who are not gone; they are ready afterwards. At most one round trip."""
        missing = [user_id for user_id in user_ids if not self.users.has(user_id)]
        if missing:
            for user_id, user in zip(missing, await self.profiles(missing), strict=True):
                self.users.ready(user_id, user)
        return {user_id for user_id in user_ids if self.users.load(user_id)}

    async def shown(self, tweet_ids: Sequence[int]) -> list[Tweet | None]:
        """In order, None for what is deleted or whose author is gone; the others' authors are ready afterwards."""
        found = await self.bodies(tweet_ids)
        living = {tweet.id for tweet in await self.living([tweet for tweet in found if tweet])}
        return [tweet if tweet and tweet.id in living else None for tweet in found]


def _membership(existing: Callable[[list[K]], Coroutine[Any, Any, set[K]]]) -> Batch[K, bool]:
    async def load(keys: list[K]) -> list[bool]:
        found = await existing(keys)
        return [key in found for key in keys]

    return load


def _regards(blocks: Blocks) -> Batch[tuple[int, int], Regard]:
    async def load(keys: list[tuple[int, int]]) -> list[Regard]:
        found = await blocks.regards_between(keys)
        return [found.get(pair, NEUTRAL) for pair in keys]

    return load

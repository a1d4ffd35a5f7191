"""Asked: what the handlers of a batch ask MongoDB at the same moment, read for all of them at once. Keeps nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from datastore.follows import Follows
from datastore.records import Roads, Tweet
from datastore.tweets import Tweets
from datastore.users import Users

V = TypeVar("V")
# Of one round trip: a batch of four partitions asks four of them side by side.
KEYS_AT_ONCE = 100


class Joined(Generic[V]):
    """A question by id. Those that come in the same turn of the loop are read together, behind all of them: an answer
    is never older than its question."""

    def __init__(self, read: Callable[[list[int]], Awaitable[Mapping[int, V]]]) -> None:
        self._read = read
        self._waiting: dict[int, asyncio.Future[V | None]] = {}
        self._reading: set[asyncio.Task[None]] = set()

    async def get(self, key: int) -> V | None:
        """What is there under this id, None if nothing. Raises what the read raised, for all who asked together."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._begin)
        if key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().create_future()
        # Shielded: one handler that is cancelled must not take the answer from the others.
        return await asyncio.shield(self._waiting[key])

    def _begin(self) -> None:
        waiting, self._waiting = list(self._waiting.items()), {}
        for at in range(0, len(waiting), KEYS_AT_ONCE):
            task = asyncio.create_task(self._answer(dict(waiting[at : at + KEYS_AT_ONCE])))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _answer(self, waiting: Mapping[int, "asyncio.Future[V | None]"]) -> None:
        try:
            found = await self._read(list(waiting))
        except Exception as error:
            for future in waiting.values():
                future.set_exception(error)
                # Whoever asked may have gone.
                future.exception()
        else:
            for key, future in waiting.items():
                future.set_result(found.get(key))
        finally:
            # Cancelled: so is whoever still waits.
            for future in waiting.values():
                future.cancel()


class Asked:
    """The questions that nearly every event of a batch asks."""

    def __init__(self, users: Users, tweets: Tweets, follows: Follows) -> None:
        self._tweets = tweets
        self._roads = Joined(users.roads_of)
        self._followers = Joined(follows.followers_of)
        self._living = Joined(self._living_of)

    async def tweet(self, tweet_id: int) -> Tweet | None:
        """The tweet, None if it is absent or deleted."""
        return await self._living.get(tweet_id)

    async def roads(self, user_id: int) -> Roads | None:
        """How their entries travel; None for nobody."""
        return await self._roads.get(user_id)

    async def followers(self, author_id: int) -> list[int] | None:
        """All their followers, in no order; None if they are too many to be read beside others': walk them then."""
        return await self._followers.get(author_id)

    async def _living_of(self, tweet_ids: list[int]) -> Mapping[int, Tweet]:
        return {tweet.id: tweet for tweet in await self._tweets.get_many(tweet_ids) if tweet}

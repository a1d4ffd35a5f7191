"""Likes: unique edges from user to tweet, and the tweet's counter."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from datastore import ids, popularity
from datastore.follows import edge_of, edges_query
from datastore.mongo import Doc, DuplicateKeyError, Mongo
from datastore.records import CursorKind, Edge, Key
from datastore.together import Keyed, Look

T = TypeVar("T")
# By (tweet, user), answered from the _id index alone.
_EDGES = Keyed("likes", {"_id": 1}, lambda doc: (*doc["_id"].values(),), lambda key: {"t": key[0], "u": key[1]})


class Likes:
    """Who likes what. An edge's _id is {t: tweet, u: user}, so that a delete names both."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._likes = mongo.likes
        self._tweets = mongo.tweets

    async def add(self, user_id: int, tweet_id: int, now_ms: int) -> bool:
        """Like; False if it was so already."""
        try:
            await self._likes.insert_one({"_id": {"t": tweet_id, "u": user_id}, "at": now_ms})
        except DuplicateKeyError:
            return False
        await self._count(user_id, tweet_id, 1)
        return True

    async def remove(self, user_id: int, tweet_id: int) -> bool:
        """Take the like back; False if there was none."""
        result = await self._likes.delete_one({"_id": {"t": tweet_id, "u": user_id}})
        if not result.deleted_count:
            return False
        await self._count(user_id, tweet_id, -1)
        return True

    async def _count(self, user_id: int, tweet_id: int, by: int) -> None:
        engagement = popularity.unless_author(user_id, by)
        await self._tweets.move_one(ids.key(tweet_id), popularity.move("likes", by, engagement))

    async def existing(self, pairs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
        """Those of the (user, tweet) pairs that are likes. One round trip, answered from the _id index alone."""
        return {(doc["_id"]["u"], doc["_id"]["t"]) for doc in await self._find(pairs, list).alone()}

    def find_liked(self, user_id: int, tweet_ids: Iterable[int]) -> Look[set[int]]:
        """Those of the tweets that a user likes. Covered."""
        return self._find(((user_id, tweet) for tweet in tweet_ids), lambda docs: {doc["_id"]["t"] for doc in docs})

    def _find(self, pairs: Iterable[tuple[int, int]], made: Callable[[Sequence[Doc]], T]) -> Look[T]:
        return Look(self._mongo, _EDGES, [(tweet, user) for user, tweet in pairs], made)

    async def liked(self, user_id: int, first: int, after: Key | None) -> list[Edge[int]]:
        """Up to `first` edges of (tweet id, since), newest first; `after` is exclusive."""
        query = edges_query("_id.u", user_id, "_id.t", after)
        cursor = self._likes.find(query, {"_id": 1, "at": 1}).sort([("at", -1), ("_id.t", -1)]).limit(first)
        return [edge_of(doc, "t", CursorKind.USER_LIKES) async for doc in cursor]

    async def likers(self, tweet_id: int, first: int, after: Key | None) -> list[Edge[int]]:
        """Up to `first` edges of (user id, since), newest first; `after` is exclusive."""
        query = edges_query("_id.t", tweet_id, "_id.u", after)
        cursor = self._likes.find(query, {"_id": 1, "at": 1}).sort([("at", -1), ("_id.u", -1)]).limit(first)
        return [edge_of(doc, "u", CursorKind.LIKERS) async for doc in cursor]

"""Retweets: one document each, alive until undone; at most one alive for each pair of user and tweet."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime

from datastore import ids, popularity, tracing
from datastore.mongo import RETWEETS_BY_AUTHOR, Doc, DuplicateKeyError, Mongo, duplicate_field
from datastore.records import Retweet, Tweet
from datastore.together import Find, Keyed, Look
from datastore.trails import Trails
from datastore.tweets import OF_AUTHOR, ids_of

WALK_BATCH = 500

_FIELDS: Doc = {"author": 1, "tweet": 1}
_LIVING = Keyed("retweets", _FIELDS, where={"alive": True})


class Retweets:
    """Who passed on what. A retweet's id is its entry in timelines; undoing leaves a tombstone."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._retweets = mongo.retweets
        self._tweets = mongo.tweets
        self._trails = Trails(mongo)

    async def add(self, author_id: int, tweet: Tweet, now_ms: int) -> bool:
        """Retweet; False if it was so already. The counter moves only with a new retweet."""
        while True:
            retweet_id = ids.new(now_ms, author_id, ids.Kind.RETWEET)
            doc = {"_id": retweet_id, "bucket": ids.bucket(retweet_id), "author": author_id, "tweet": tweet.id}
            if tracing.is_on():
                await self._trails.leave(retweet_id)
            try:
                await self._retweets.insert_one(doc | {"of": tweet.author_id, "alive": True})
                break
            except DuplicateKeyError as error:
                if duplicate_field(error) != "_id":
                    return False
                now_ms += 1
        await self._count(author_id, tweet.id, 1)
        return True

    async def remove(self, author_id: int, tweet_id: int) -> bool:
        """Undo; False if there was nothing to undo."""
        query = {"author": author_id, "tweet": tweet_id, "alive": True}
        result = await self._retweets.update_one(query, undone(datetime.now(UTC)))
        if not result.modified_count:
            return False
        await self._count(author_id, tweet_id, -1)
        return True

    async def _count(self, author_id: int, tweet_id: int, by: int) -> None:
        engagement = popularity.unless_author(author_id, popularity.RETWEET_WEIGHT * by)
        await self._tweets.update_one({"_id": tweet_id}, popularity.move("retweets", by, engagement))

    async def get_many(self, retweet_ids: Sequence[int]) -> list[Retweet]:
        """Those of the retweets that are alive. One round trip, none for no ids."""
        if not retweet_ids:
            return []
        return await Look(self._mongo, _LIVING, retweet_ids, _retweets).alone()

    async def get(self, retweet_id: int) -> Retweet | None:
        """One retweet that is alive."""
        return next(iter(await self.get_many([retweet_id])), None)

    async def any_state(self, retweet_id: int) -> Retweet | None:
        """One retweet, undone or not."""
        doc = await self._retweets.find_one({"_id": retweet_id}, _FIELDS)
        return _retweet(doc) if doc else None

    async def existing(self, pairs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
        """Those of the (user, tweet) pairs that are retweets; pairs of few users. One round trip for each user."""
        wanted: dict[int, list[int]] = {}
        for user, tweet in pairs:
            wanted.setdefault(user, []).append(tweet)
        found = set()
        for user, tweets in wanted.items():
            found |= {(user, tweet) for tweet in await self.find_retweeted(user, tweets).alone()}
        return found

    def find_retweeted(self, user_id: int, tweet_ids: Iterable[int]) -> Find[set[int]]:
        """Those of the tweets that a user retweeted. Covered."""
        query = {"author": user_id, "tweet": {"$in": [*tweet_ids]}, "alive": True}
        fields: Doc = {"_id": 0, "tweet": 1}
        return Find(self._mongo, "retweets", query, fields, lambda docs: {doc["tweet"] for doc in docs})

    def find_newest(self, author_id: int, bounds: Doc, first: int) -> Find[list[int]]:
        """`newest` for one author, to be asked together with others."""
        query = {"author": author_id, "alive": True, "_id": bounds}
        return Find(self._mongo, "retweets", query, {"_id": 1}, ids_of, OF_AUTHOR, first)

    async def of_tweet(self, tweet_id: int, first: int, before: int | None) -> list[Retweet]:
        """Up to `first` retweets of a tweet, newest first, with ids below `before`."""
        return await self._list({"tweet": tweet_id, "alive": True}, first, before)

    async def of_user(self, author_id: int, first: int, before: int | None) -> list[Retweet]:
        """Up to `first` retweets by a user, newest first, with ids below `before`."""
        return await self._list({"author": author_id, "alive": True}, first, before)

    async def walk_tweet(self, tweet_id: int) -> AsyncIterator[list[Retweet]]:
        """Every living retweet of a tweet, in batches, newest first."""
        before = None
        while batch := await self.of_tweet(tweet_id, WALK_BATCH, before):
            yield batch
            before = batch[-1].id

    async def newest(self, author_ids: Sequence[int], bounds: Doc, first: int) -> list[int]:
        """The newest `first` ids of retweets by at most 200 authors within the id bounds, newest first. Covered."""
        return await self._newest({"author": {"$in": list(author_ids)}, "_id": bounds}, first)

    async def newest_of_others(
        self, author_ids: Sequence[int], bounds: Doc, first: int, known_ids: Sequence[int]
    ) -> list[int]:
        """As `newest`, without retweets of tweets by the known people. Covered; those cost a key each."""
        query = {"author": {"$in": list(author_ids)}, "_id": bounds, "of": {"$nin": list(known_ids)}}
        return await self._newest(query, first)

    async def _newest(self, query: Doc, first: int) -> list[int]:
        cursor = self._retweets.find(query | {"alive": True}, {"_id": 1}).sort("_id", -1).hint(RETWEETS_BY_AUTHOR)
        return [doc["_id"] async for doc in cursor.limit(first)]

    async def _list(self, query: Doc, first: int, before: int | None) -> list[Retweet]:
        if before is not None:
            query["_id"] = {"$lt": before}
        return await Find(self._mongo, "retweets", query, _FIELDS, _retweets, {"_id": -1}, first).alone()


def undone(now: datetime) -> Doc:
    """The update that undoes a retweet: whose tweet it was goes, what its event needs stays."""
    return {"$set": {"undone_at": now}, "$unset": {"alive": "", "of": ""}}


def _retweets(docs: Sequence[Doc]) -> list[Retweet]:
    return [*map(_retweet, docs)]


def _retweet(doc: Doc) -> Retweet:
    return Retweet(doc["_id"], doc["author"], doc["tweet"])

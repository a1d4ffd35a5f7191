"""Retweets: one document each, alive until undone; at most one alive for each pair of user and tweet. Never fans out.

The pair is a reservation that tells the retweet's id (datastore/reservations.py says in which order). To retweet: take
the pair, insert the retweet, move the counter. To undo: make it a tombstone, move the counter, give the pair back.
Where somebody died in between, the next who comes for the pair goes on. A counter that was not moved is left to the
reconciler.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime

from datastore import ids, popularity, tracing
from datastore.indexes import RETWEETS_BY_AUTHOR
from datastore.mongo import Doc, DuplicateKeyError, Mongo
from datastore.records import Retweet, Tweet
from datastore.reservations import Reservations, Reserved
from datastore.together import Find, Keyed, Look
from datastore.trails import Trails
from datastore.tweets import OF_AUTHOR, ids_of

WALK_BATCH = 500
# A pair that has waited longer for its retweet is not finished but begun anew: it would come in at the place of an old
# one, where nobody looks, and a rescan reads no further back (datastore.rescan.MARGIN_MS).
FINISHED_WITHIN_MS = 30_000

_FIELDS: Doc = {"author": 1, "tweet": 1}
_LIVING = Keyed("retweets", _FIELDS, where={"alive": True})


class Retweets:
    """Who passed on what. A retweet's id is its entry in timelines; undoing leaves a tombstone."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._retweets = mongo.retweets
        self._tweets = mongo.tweets
        self._pairs = Reservations(reserved_pairs(mongo))
        self._trails = Trails(mongo)

    async def add(self, author_id: int, tweet: Tweet, now_ms: int) -> bool:
        """Retweet; False if it was so already. The counter moves only with a new retweet.

        Whoever finds the pair taken and its retweet missing writes that one, under its id; of all who do, one succeeds.
        """
        pair = pair_of(author_id, tweet.id)
        while True:
            new_id = ids.new(now_ms, author_id, ids.Kind.RETWEET)
            retweet_id = await self._pairs.take(pair, new_id)
            if retweet_id == new_id and tracing.is_on():
                await self._trails.leave(retweet_id)
            if ids.at_ms(retweet_id) + FINISHED_WITHIN_MS >= now_ms and await self._insert(retweet_id, tweet, pair):
                await self._count(author_id, tweet.id, 1)
                return True
            if not await self._pairs.vacated(pair, retweet_id):
                return False
            # Undone, by somebody who died before giving the pair back; or another one of the same millisecond.
            await self._pairs.give_back(pair, retweet_id)
            now_ms += 1

    async def _insert(self, retweet_id: int, tweet: Tweet, pair: Doc) -> bool:
        """Write the retweet; False if its id is taken, by itself or by another one."""
        try:
            await self._retweets.insert_one(_doc(retweet_id, pair) | {"of": tweet.author_id, "alive": True})
        except DuplicateKeyError:
            return False
        return True

    async def remove(self, author_id: int, tweet_id: int) -> bool:
        """Undo; False if there was nothing to undo. A retweet of before that is only about to come cannot any more."""
        pair = pair_of(author_id, tweet_id)
        retweet_id = await self._pairs.holder(pair)
        if retweet_id is None:
            return False
        was_alive = await self._undo(retweet_id, pair)
        if was_alive:
            await self._count(author_id, tweet_id, -1)
        await self._pairs.give_back(pair, retweet_id)
        return was_alive

    async def _undo(self, retweet_id: int, pair: Doc) -> bool:
        """Whether it was alive."""
        living = ids.key(retweet_id) | {"author": pair["a"], "tweet": pair["t"], "alive": True}
        while True:
            result = await self._retweets.update_one(living, undone(datetime.now(UTC)))
            if result.modified_count:
                return True
            if await self._pairs.vacated(pair, retweet_id):
                return False

    async def _count(self, author_id: int, tweet_id: int, by: int) -> None:
        engagement = popularity.unless_author(author_id, popularity.RETWEET_WEIGHT * by)
        await self._tweets.move_one(ids.key(tweet_id), popularity.move("retweets", by, engagement))

    async def get_many(self, retweet_ids: Sequence[int]) -> list[Retweet]:
        """Those of the retweets that are alive. One round trip, none for no ids."""
        if not retweet_ids:
            return []
        return await self.find_many(retweet_ids).alone()

    def find_many(self, retweet_ids: Sequence[int]) -> Look[list[Retweet]]:
        """`get_many`, to be asked together with others."""
        return Look(self._mongo, _LIVING, retweet_ids, _retweets)

    async def get(self, retweet_id: int) -> Retweet | None:
        """One retweet that is alive."""
        return next(iter(await self.get_many([retweet_id])), None)

    async def any_state(self, retweet_id: int) -> Retweet | None:
        """One retweet, undone or not."""
        doc = await self._retweets.find_one(ids.key(retweet_id), _FIELDS)
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


def pair_of(author_id: int, tweet_id: int) -> Doc:
    """What one living retweet alone may have."""
    return {"a": author_id, "t": tweet_id}


def reserved_pairs(mongo: Mongo) -> Reserved:
    """The pairs of the living retweets."""

    def pair(doc: Doc) -> Doc | None:
        return pair_of(doc["author"], doc["tweet"]) if doc.get("alive") else None

    def tombstone(retweet_id: int, pair: Doc, now: datetime) -> Doc:
        return _doc(retweet_id, pair) | {"undone_at": now}

    return Reserved(mongo.retweet_pairs, mongo.retweets, ("author", "tweet", "alive"), pair, tombstone)


def _doc(retweet_id: int, pair: Doc) -> Doc:
    return ids.key(retweet_id) | {"author": pair["a"], "tweet": pair["t"]}


def undone(now: datetime) -> Doc:
    """The update that undoes a retweet: whose tweet it was goes, what its event needs stays."""
    return {"$set": {"undone_at": now}, "$unset": {"alive": "", "of": ""}}


def _retweets(docs: Sequence[Doc]) -> list[Retweet]:
    return [*map(_retweet, docs)]


def _retweet(doc: Doc) -> Retweet:
    return Retweet(doc["_id"], doc["author"], doc["tweet"])

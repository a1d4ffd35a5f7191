"""Purges: what is left of deleted accounts goes in slices, each atomic, until only tombstones are there.

Progress is not stored: what still exists is what is still to do, so that a purge goes on wherever its worker died. An
account's tombstone carries `purge` until then: {due: when a worker may take it, last: whether this is the last round}.
The last round runs a while after the first: requests that were under way when the account was deleted have ended by
then, and what they wrote goes too.
"""

from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from datastore import popularity
from datastore.bulk import atomically
from datastore.mongo import Doc, Mongo, Session, UpdateOne
from datastore.repliers import begun, pair_of
from datastore.retweets import pair_of as retweet_pair
from datastore.retweets import undone
from datastore.tweets import GONE, tombstone

# Documents in one slice: its transaction takes tens of milliseconds, its events are a worker's batch or two.
SLICE = 200


@dataclass(frozen=True, slots=True)
class Purge:
    """A tombstone whose purge somebody has taken."""

    user_id: int
    name_key: str
    last: bool


@dataclass(frozen=True, slots=True)
class _Edges:
    """Edges that go with the person at their `side`; `counter` in `counted` counted them for the `other` end, if
    anything did."""

    collection: str
    side: str
    other: str
    counted: str = ""
    counter: str = ""


# NOTE: a new kind of edge belongs here, or deleted accounts stay in it.
_EDGES = (
    _Edges("follows", side="a", other="f", counted="users", counter="following"),
    _Edges("follows", side="f", other="a", counted="users", counter="followers"),
    _Edges("likes", side="u", other="t", counted="tweets", counter="likes"),
    _Edges("blocks", side="o", other="t"),
    _Edges("blocks", side="t", other="o"),
    # What a reply that died on its way has left of its numbers.
    _Edges("repliers", side="a", other="t"),
)


class Purges:
    """The slices. Each does at most `size` documents and gives how many it did: 0 when none are left. All may be run
    again, by several workers at once; counters move exactly once with what they count."""

    def __init__(self, mongo: Mongo, size: int = SLICE) -> None:
        self._mongo = mongo
        self._size = size

    # Whose turn it is

    async def take(self, now: datetime, lease: timedelta) -> Purge | None:
        """The purge that has been due longest, for this worker alone until the lease ends; None if none is due."""
        due = {"purge.due": {"$lte": now}}
        while longest := await self._mongo.users.find_one(due, {"_id": 1}, sort=[("purge.due", 1)]):
            # By the shard key as well, without which a sharded cluster changes no document by its fields.
            doc = await self._mongo.users.find_one_and_update(longest | due, {"$set": {"purge.due": now + lease}})
            if doc:
                return Purge(doc["_id"], doc["name_key"], doc["purge"]["last"])
        return None

    async def keep(self, purge: Purge, until: datetime) -> None:
        """Renew the lease."""
        await self._mongo.users.update_one(_marked(purge), {"$set": {"purge.due": until}})

    async def once_more(self, purge: Purge, at: datetime) -> None:
        """The first round is done: the last one is due at `at`."""
        await self._mongo.users.update_one(_marked(purge), {"$set": {"purge": {"due": at, "last": True}}})

    async def finish(self, purge: Purge) -> None:
        """The last round is done: only id, name_key and deleted_at stay of the account."""
        bare = {"_id": "$_id", "name_key": "$name_key", "deleted_at": "$deleted_at"}
        await self._mongo.users.update_one(_marked(purge), [{"$replaceWith": bare}])

    # Slices

    async def end_sessions(self, user_id: int) -> None:
        """End what is open, whoever opened it: nothing more is written in the account's name."""
        await self._mongo.sessions.delete_many({"user": user_id})

    async def delete_entries(self, user_id: int, now: datetime) -> int:
        """Tweets and retweets become tombstones, which raise TweetDeleted and RetweetUndone."""
        return await self._delete_tweets(user_id, now) or await self._undo_retweets(user_id, now)

    async def _delete_tweets(self, user_id: int, now: datetime) -> int:
        """The tweets that they answered count one reply less."""

        async def work(session: Session) -> int:
            query = {"author": user_id, "alive": True}
            found = await self._some(self._mongo.tweets, query, session, {"reply_to": 1, "reply_author": 1})
            if not found:
                return 0
            await self._mongo.tweets.update_many(_among(found), tombstone(now), session=session)
            answered = Counter(doc["reply_to"] for doc in found if "reply_to" in doc)
            others = {doc["reply_to"] for doc in found if doc.get("reply_author", GONE) not in (user_id, GONE)}
            ended = await self._end_replies({tweet: answered[tweet] for tweet in others}, user_id, session)
            if answered:
                moves = [
                    UpdateOne({"_id": key}, popularity.move("replies", -by, -int(key in ended)))
                    for key, by in answered.items()
                ]
                await self._mongo.tweets.bulk_write(moves, ordered=False, session=session)
            return len(found)

        return await atomically(self._mongo, work)

    async def _end_replies(self, fewer: dict[int, int], user_id: int, session: Session) -> set[int]:
        """Take so many replies of theirs from the numbers of each tweet; the tweets that they now answer no more."""
        pairs = {"_id": {"$in": [pair_of(tweet, user_id) for tweet in fewer]}}
        had = {doc["_id"]["t"]: doc["n"] async for doc in self._mongo.repliers.find(pairs, session=session)}
        if had:
            moves = [UpdateOne({"_id": pair_of(tweet, user_id)}, {"$inc": {"n": -fewer[tweet]}}) for tweet in had]
            await self._mongo.repliers.bulk_write(moves, ordered=False, session=session)
            await self._mongo.repliers.delete_many(pairs | {"n": {"$lte": 0}}, session=session)
        return {tweet for tweet, n in had.items() if begun(n, n - fewer[tweet]) < 0}

    async def _undo_retweets(self, user_id: int, now: datetime) -> int:
        async def work(session: Session) -> int:
            query = {"author": user_id, "alive": True}
            found = await self._some(self._mongo.retweets, query, session, {"tweet": 1})
            if found:
                await self._mongo.retweets.update_many(_among(found), undone(now), session=session)
                pairs = [retweet_pair(user_id, doc["tweet"]) for doc in found]
                await self._mongo.retweet_pairs.delete_many({"_id": {"$in": pairs}}, session=session)
                tweets = {"_id": {"$in": [doc["tweet"] for doc in found]}}
                engagement = popularity.unless_author(user_id, -popularity.RETWEET_WEIGHT)
                move = popularity.move("retweets", -1, engagement)
                await self._mongo.tweets.update_many(tweets, move, session=session)
            return len(found)

        return await atomically(self._mongo, work)

    async def cut_edges(self, user_id: int) -> int:
        """Follows of both directions, likes, blocks and mutes go; what is at their other end counts one less. So do
        the links of texts that name them; the texts are other people's and stay."""
        for edges in _EDGES:
            done = await atomically(self._mongo, self._cutting(edges, user_id))
            if done:
                return done
        named = await self._some(self._mongo.tweets, {"mentions": user_id})
        if named:
            await self._mongo.tweets.update_many(_among(named), {"$pull": {"mentions": user_id}})
        return len(named)

    def _cutting(self, edges: _Edges, user_id: int) -> Callable[[Session], Coroutine[Any, Any, int]]:
        collection = self._mongo.db[edges.collection]

        async def work(session: Session) -> int:
            found = await self._some(collection, {f"_id.{edges.side}": user_id}, session)
            if found:
                await collection.delete_many(_among(found), session=session)
            if found and edges.counted:
                # One edge for each other end: the person at this one is the same in all of them.
                others = [doc["_id"][edges.other] for doc in found]
                change: Any = {"$inc": {edges.counter: -1}}
                if edges.counted == "tweets":
                    change = popularity.move(edges.counter, -1, popularity.unless_author(user_id, -1))
                await self._mongo.db[edges.counted].update_many({"_id": {"$in": others}}, change, session=session)
            return len(found)

        return work

    async def forget_keys(self, user_id: int) -> None:
        """Idempotency keys go, and what is reserved: the address, and pairs whose retweet never came; not the name."""
        of_user = {"_id": {"$gte": {"a": user_id}, "$lt": {"a": user_id + 1}}}
        await self._mongo.idempotency.delete_many(of_user)
        await self._mongo.retweet_pairs.delete_many(of_user)
        await self._mongo.emails.delete_many({"of": user_id})

    async def forget_tombstones(self, user_id: int) -> int:
        """Tombstones of tweets and retweets go for good, with what others hung on them. Only when their events have
        been handled.

        The tombstones go last: a slice that was cut off finds them, and so the rest, again.
        """
        query = {"author": user_id, "deleted_at": {"$exists": True}}
        found = await self._some(self._mongo.tweets, query, None, {"import_key": 1})
        tweet_ids = {"$in": [doc["_id"] for doc in found]}
        answers = {"reply_to": tweet_ids, "alive": True}
        await self._mongo.tweets.update_many(answers, {"$set": {"reply_author": GONE}})
        while likes := await self._some(self._mongo.likes, {"_id.t": tweet_ids}):
            await self._mongo.likes.delete_many(_among(likes))
        while repliers := await self._some(self._mongo.repliers, {"_id.t": tweet_ids}):
            await self._mongo.repliers.delete_many(_among(repliers))
        of_them: Doc = {"tweet": tweet_ids, "alive": True}
        while retweets := await self._some(self._mongo.retweets, of_them, None, {"author": 1, "tweet": 1}):
            pairs = [retweet_pair(doc["author"], doc["tweet"]) for doc in retweets]
            await self._mongo.retweet_pairs.delete_many({"_id": {"$in": pairs}})
            await self._mongo.retweets.delete_many(_among(retweets))
        imported = [doc["import_key"] for doc in found if "import_key" in doc]
        await self._mongo.import_keys.delete_many({"_id": {"$in": imported}})
        await self._mongo.tweets.delete_many(_among(found))
        own = await self._some(self._mongo.retweets, {"author": user_id, "undone_at": {"$exists": True}})
        await self._mongo.retweets.delete_many(_among(own))
        return len(found) + len(own)

    async def _some(self, collection: Any, query: Doc, session: Session = None, more: Doc | None = None) -> list[Doc]:
        cursor = collection.find(query, {"_id": 1} | (more or {}), session=session).limit(self._size)
        return [doc async for doc in cursor]


def _among(docs: list[Doc]) -> Doc:
    return {"_id": {"$in": [doc["_id"] for doc in docs]}}


def _marked(purge: Purge) -> Doc:
    return {"_id": purge.user_id, "purge": {"$exists": True}}

"""Changes: MongoDB's change stream read as events, in commit order, and the one reader's lease and watermark.

A write is its own announcement: nothing else has to happen after it for its event to be seen, however the writer dies.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from datastore import ids, popularity
from datastore.mongo import Doc, DuplicateKeyError, Mongo, OperationFailure, aggregated, watching
from datastore.records import Hiding

# What a resume token that fell off the oplog gives: ChangeStreamHistoryLost, ChangeStreamFatalError.
HISTORY_LOST = {286, 280}
# How long one look at an idle stream waits in the server.
AWAIT_MS = 500

Token = dict[str, Any]


class EventName(StrEnum):
    """What happened."""

    TWEET_POSTED = "TweetPosted"
    TWEET_DELETED = "TweetDeleted"
    TWEET_LIKED = "TweetLiked"
    TWEET_UNLIKED = "TweetUnliked"
    TWEET_RANKED = "TweetRanked"
    TWEET_CHANGED = "TweetChanged"
    TWEET_RETWEETED = "TweetRetweeted"
    RETWEET_UNDONE = "RetweetUndone"
    USER_FOLLOWED = "UserFollowed"
    USER_UNFOLLOWED = "UserUnfollowed"
    USER_CHANGED = "UserChanged"
    USER_DELETED = "UserDeleted"
    USER_PROMOTED = "UserPromoted"
    USER_DEMOTED = "UserDemoted"
    FOLLOW_DOUBTED = "FollowDoubted"
    BLOCK_CHANGED = "BlockChanged"
    MUTE_CHANGED = "MuteChanged"
    HEARTBEAT = "Heartbeat"


@dataclass(frozen=True, slots=True)
class Event:
    """Ids only. `bucket` is the author's, in [0, 1024): events of one author keep their order.

    TweetPosted, TweetDeleted: subject_id is the tweet. TweetPosted, TweetRetweeted: other_id is who made it, 0 where an
    older version relayed it. TweetLiked, TweetUnliked: subject_id is the tweet, other_id who
    likes it; the counter may not have moved yet. TweetRanked: a counter has moved, and with it the place of the tweet
    subject_id among the top tweets (datastore.popularity); tweets that are not eligible raise none.
    TweetChanged, UserChanged: something of the tweet or the person that is shown is another now, be it a counter.
    TweetRetweeted, RetweetUndone: it is the retweet, and the
    bucket is the retweeter's. UserFollowed, UserUnfollowed: it is the author, other_id the follower. UserPromoted,
    UserDemoted: it crossed the threshold of top users; raised by the worker that handled the follow or unfollow.
    FollowDoubted: the follow may not say which road its author takes; raised by the reconciler, ids as of UserFollowed.
    BlockChanged, MuteChanged (made or ended): it is who did it, other_id whom it is about. UserDeleted: it is the
    user. Heartbeat: it is a number that grows; it goes to every partition.
    """

    name: EventName
    bucket: int
    subject_id: int
    other_id: int = 0


# Those whose subject is a new entry of timelines: its id says when it was made.
ENTRY_MADE = frozenset({EventName.TWEET_POSTED, EventName.TWEET_RETWEETED})


@dataclass(frozen=True, slots=True)
class Change:
    """An event and the token that resumes right behind it; None where none does."""

    event: Event
    token: Token | None


class HistoryLostError(Exception):
    """The resume token is older than the oplog: what lies between is gone from the stream."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to relay. `fence` grows with every new holder: a write with an old one is refused."""

    fence: int
    token: Token | None
    start: Any


# What is shown of a tweet or a person and may change; counters move behind what they count, in a write of their own.
_SHOWN = {
    "tweets": ("likes", "retweets", "replies", "mentions", "reply_author"),
    "users": ("display_name", "bio", "followers", "following", "tweets", "top"),
}


def _changed(collection: str) -> Doc:
    """Matches updates of what is shown, but for the counters that an import moves: it drops every copy at its end."""
    shown = _SHOWN[collection]
    fields: list[Doc] = [{f"updateDescription.updatedFields.{field}": {"$exists": True}} for field in shown]
    shortened = {"updateDescription.truncatedArrays.field": {"$in": shown}}
    return {
        "ns.coll": collection,
        "operationType": "update",
        "updateDescription.updatedFields.imports": {"$exists": False},
        "$or": [*fields, shortened],
    }


# An eligible tweet has a place in every window. They move together, except where a repair sets one of them right.
_PLACED: list[Doc] = [
    moved
    for field in popularity.FIELDS.values()
    for moved in (
        {f"updateDescription.updatedFields.{field}": {"$exists": True}},
        {"updateDescription.removedFields": field},
    )
]
# Imported documents raise no events. A tombstone is an update that sets deleted_at.
_PIPELINE: list[Doc] = [
    {
        "$match": {
            "$or": [
                {"ns.coll": "tweets", "operationType": "insert", "fullDocument.imported": {"$ne": True}},
                {
                    "ns.coll": "tweets",
                    "operationType": "update",
                    "updateDescription.updatedFields.deleted_at": {"$exists": True},
                },
                {
                    "ns.coll": "tweets",
                    "operationType": "update",
                    "$or": _PLACED,
                },
                *map(_changed, _SHOWN),
                {"ns.coll": "likes", "operationType": "insert", "fullDocument.imported": {"$ne": True}},
                {"ns.coll": "likes", "operationType": "delete"},
                {"ns.coll": "retweets", "operationType": "insert", "fullDocument.imported": {"$ne": True}},
                {
                    "ns.coll": "retweets",
                    "operationType": "update",
                    "updateDescription.updatedFields.undone_at": {"$exists": True},
                },
                {"ns.coll": "follows", "operationType": "insert", "fullDocument.imported": {"$ne": True}},
                {"ns.coll": "follows", "operationType": "delete"},
                {
                    "ns.coll": "users",
                    "operationType": "update",
                    "updateDescription.updatedFields.deleted_at": {"$exists": True},
                },
                {"ns.coll": "blocks", "operationType": {"$in": ["insert", "delete"]}},
                {"ns.coll": "system", "documentKey._id": "heartbeat"},
            ]
        }
    },
    {
        "$project": {
            "operationType": 1,
            "ns.coll": 1,
            "documentKey": 1,
            "fullDocument.author": 1,
            "updateDescription.updatedFields.beat": 1,
            "updateDescription.updatedFields.deleted_at": 1,
            **{f"updateDescription.updatedFields.{field}": 1 for field in popularity.FIELDS.values()},
            "updateDescription.removedFields": 1,
        }
    },
]


class Changes:
    """The stream of what happened, for one reader at a time.

    Who watches gives `streams`, a client that waits for long: the server answers when it has found something or has
    come to the end of the oplog, and there may be a large import in between. One that gave up would begin there again.
    """

    def __init__(self, mongo: Mongo, streams: Mongo | None = None) -> None:
        self.mongo = mongo
        self._streams = streams or mongo
        self._system = mongo.system

    async def prepare(self) -> None:
        """Fix where the first stream begins, before the first write is accepted; idempotent."""
        start = await self.mongo.cluster_time()
        for doc in (
            {"_id": "relay", "fence": 0, "start": start, "token": None, "until": None, "holder": None},
            # Above those of an earlier database, which this Redis may have heard.
            {"_id": "heartbeat", "beat": start.time * 1000},
        ):
            try:
                await self._system.insert_one(doc)
            except DuplicateKeyError:
                continue

    async def lease(self, holder: str, seconds: float) -> Lease | None:
        """Take or renew the lease by the server's clock; None while another holds it."""
        free = {"$or": [{"$eq": ["$holder", holder]}, {"$lt": [{"$ifNull": ["$until", 0]}, "$$NOW"]}]}
        fence = {"$add": ["$fence", {"$cond": [{"$eq": ["$holder", holder]}, 0, 1]}]}
        until = {"$add": ["$$NOW", int(seconds * 1000)]}
        doc = await self._system.find_one_and_update(
            {"_id": "relay", "$expr": free},
            [{"$set": {"fence": fence, "until": until, "renewed": "$$NOW"}}, {"$set": {"holder": holder}}],
            return_document=True,
        )
        return Lease(doc["fence"], doc["token"], doc["start"]) if doc else None

    async def release(self, holder: str) -> None:
        """Give the lease up early, so that a successor need not wait."""
        await self._system.update_one({"_id": "relay", "holder": holder}, {"$set": {"until": None, "holder": None}})

    async def leaderless_seconds(self) -> float:
        """How long ago a relay last took or renewed the lease, by the server's clock; infinite if none ever did."""
        age = {"$divide": [{"$subtract": ["$$NOW", "$renewed"]}, 1000]}
        found = await aggregated(self._system, [{"$match": {"_id": "relay"}}, {"$project": {"age": age}}])
        seconds = found[0].get("age") if found else None
        return float("inf") if seconds is None else float(seconds)

    async def store(self, token: Token, fence: int) -> bool:
        """Remember the watermark: everything up to it has been handled. `{"start": time}` begins a stream at that time
        of the cluster. False if a newer holder took over."""
        watermark = {"token": None, **token} if "start" in token else {"token": token}
        result = await self._system.update_one({"_id": "relay", "fence": fence}, {"$set": watermark})
        return bool(result.matched_count)

    async def present(self) -> Token:
        """The watermark of this moment: a stream from it tells of everything written later."""
        return {"start": await self.mongo.cluster_time()}

    async def beat(self) -> int:
        """Write a heartbeat: an event that passes through the whole pipeline behind everything written before it.

        Gives its number; they grow.
        """
        doc = await self._system.find_one_and_update(
            {"_id": "heartbeat"}, {"$inc": {"beat": 1}}, upsert=True, return_document=True
        )
        beat: int = doc["beat"]
        return beat

    @asynccontextmanager
    async def watch(self, lease: Lease) -> AsyncIterator["ChangeReader"]:
        """The stream behind the lease's watermark, or from its start. Raises HistoryLostError."""
        options: Doc = {"resume_after": lease.token} if lease.token else {"start_at_operation_time": lease.start}
        opening = watching(self._streams.db, _PIPELINE, max_await_time_ms=AWAIT_MS, batch_size=1000, **options)
        try:
            async with opening as stream:
                yield ChangeReader(stream)
        except OperationFailure as error:
            if error.code in HISTORY_LOST:
                raise HistoryLostError(str(error)) from error
            raise


class ChangeReader:
    """An open change stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._idle_token: Token | None = None

    @property
    def idle_token(self) -> Token | None:
        """Resumes behind everything given and passed over so far; None unless the last look found nothing."""
        return self._idle_token

    async def next(self) -> Change | None:
        """The next change; None if none came within half a second. Commit order, each once per open stream."""
        doc = await self._stream.try_next()
        if doc is None:
            self._idle_token = self._stream.resume_token
            return None
        # NOTE: never the stream's own token here: its thread may be one document ahead of this coroutine.
        self._idle_token = None
        return Change(_event(doc), doc["_id"])


def _event(doc: Doc) -> Event:
    collection, key = doc["ns"]["coll"], doc["documentKey"]["_id"]
    inserted = doc["operationType"] == "insert"
    update = doc.get("updateDescription", {})
    updated = update.get("updatedFields", {})
    if collection == "tweets":
        name = EventName.TWEET_POSTED if inserted else _of_tweet(update)
        return Event(name, ids.bucket(key), key, _author(doc))
    if collection == "likes":
        name = EventName.TWEET_LIKED if inserted else EventName.TWEET_UNLIKED
        return Event(name, ids.bucket(key["t"]), key["t"], key["u"])
    if collection == "retweets":
        name = EventName.TWEET_RETWEETED if inserted else EventName.RETWEET_UNDONE
        return Event(name, ids.bucket(key), key, _author(doc))
    if collection == "blocks":
        name = EventName.BLOCK_CHANGED if key["k"] == Hiding.BLOCK else EventName.MUTE_CHANGED
        return Event(name, ids.spread(key["o"], ids.AUTHOR_BUCKETS), key["o"], key["t"])
    if collection == "follows":
        name = EventName.USER_FOLLOWED if inserted else EventName.USER_UNFOLLOWED
        return Event(name, ids.spread(key["a"], ids.AUTHOR_BUCKETS), key["a"], key["f"])
    if collection == "users":
        name = EventName.USER_DELETED if "deleted_at" in updated else EventName.USER_CHANGED
        return Event(name, ids.spread(key, ids.AUTHOR_BUCKETS), key)
    return Event(EventName.HEARTBEAT, 0, updated.get("beat", 0))


def _author(doc: Doc) -> int:
    """Who made what was inserted; 0 for what was updated, whose document is not told."""
    author_id: int = doc.get("fullDocument", {}).get("author", 0)
    return author_id


def _of_tweet(update: Doc) -> EventName:
    updated = update.get("updatedFields", {})
    if "deleted_at" in updated:
        return EventName.TWEET_DELETED
    moved = {*updated, *update.get("removedFields", ())} & {*popularity.FIELDS.values()}
    return EventName.TWEET_RANKED if moved else EventName.TWEET_CHANGED

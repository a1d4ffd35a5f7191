"""Rescan: what happened since a moment, read from the documents when the oplog no longer tells. Changes nothing.

Documents say what was made and is still there: tweets and retweets by their ids, follows and blocks by a walk through
all of them, since no index is worth having for this day. What was deleted or undone left nothing to read: pages filter
it, and who held it is told to read again.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from datastore import ids
from datastore.changes import Change, Changes, Event, EventName, Lease, Token
from datastore.mongo import Doc, Mongo
from datastore.records import Hiding

# How far the clock of who made an id may have been behind MongoDB's, with the time the write itself took.
MARGIN_MS = 60_000
_IDLE_SECONDS = 0.1
# What begins a resume token: a timestamp, as MongoDB's key strings write it.
_TIMESTAMP = "82"


async def rescan(changes: Changes, lease: Lease) -> "Rescan":
    """Everything since the lease's watermark, from the documents."""
    return Rescan(changes.mongo, since_ms(lease), await changes.present())


def since_ms(lease: Lease) -> int:
    """When the last event was that is surely handled, in milliseconds; the beginning of all ids if the watermark does
    not say."""
    if lease.token is None:
        return int(lease.start.time) * 1000
    data = str(lease.token.get("_data", ""))
    return int(data[2:10], 16) * 1000 if data.startswith(_TIMESTAMP) and len(data) > 10 else ids.EPOCH_MS


class Rescan:
    """Reads as a change stream does (datastore.changes.ChangeReader), until there is nothing more; then `idle_token`
    begins the stream that sees what was written since the rescan began. Events come at least once, in no order but that
    an author's tweets come in theirs."""

    def __init__(self, mongo: Mongo, since_ms: int, present: Token) -> None:
        self._mongo = mongo
        self._since_ms = max(since_ms - MARGIN_MS, ids.EPOCH_MS)
        self._token = present
        self._events = self._all()
        self._done = False

    @property
    def idle_token(self) -> Token | None:
        """None until everything has been given."""
        return self._token if self._done else None

    async def next(self) -> Change | None:
        """The next event; None, after a moment, once there is none."""
        event = await anext(self._events, None)
        self._done = event is None
        if self._done:
            await asyncio.sleep(_IDLE_SECONDS)
        return Change(event, None) if event else None

    async def _all(self) -> AsyncIterator[Event]:
        made = {"_id": {"$gte": ids.first_at(self._since_ms)}, "alive": True, "imported": {"$ne": True}}
        for collection, name in (("tweets", EventName.TWEET_POSTED), ("retweets", EventName.TWEET_RETWEETED)):
            async for doc in self._mongo.db[collection].find(made, {"author": 1}).sort("_id", 1):
                yield Event(name, ids.bucket(doc["_id"]), doc["_id"], doc["author"])
        async for doc in self._edges("follows"):
            author_id, follower_id = doc["_id"]["a"], doc["_id"]["f"]
            yield Event(EventName.USER_FOLLOWED, _bucket(author_id), author_id, follower_id)
        async for doc in self._edges("blocks"):
            owner_id, target_id = doc["_id"]["o"], doc["_id"]["t"]
            name = EventName.BLOCK_CHANGED if doc["_id"]["k"] == Hiding.BLOCK else EventName.MUTE_CHANGED
            yield Event(name, _bucket(owner_id), owner_id, target_id)
        if beat := await self._mongo.system.find_one({"_id": "heartbeat"}):
            # Who waits for one that was forgotten may go on: it comes behind all of these.
            yield Event(EventName.HEARTBEAT, 0, beat["beat"])

    def _edges(self, collection: str) -> Any:
        since: Doc = {"at": {"$gte": self._since_ms}, "imported": {"$ne": True}}
        return self._mongo.db[collection].find(since, {"_id": 1})


def _bucket(user_id: int) -> int:
    return ids.spread(user_id, ids.AUTHOR_BUCKETS)

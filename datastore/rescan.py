"""Rescan: what happened since a moment, read from the documents when the oplog no longer tells. Changes nothing.

Documents say what was made and is still there: tweets and retweets by their ids, follows and blocks person by person,
since an index by time alone is not worth having for this day. What was deleted or undone left nothing to read: pages
filter it, and who held it is told to read again.

No question takes long, however many documents there are, so that none is ever given up and asked again from the start.
"""

import asyncio
from collections.abc import AsyncIterator

from datastore import ids
from datastore.changes import Change, Changes, Lease, Token
from datastore.events import Event, EventName
from datastore.indexes import Keys
from datastore.mongo import Doc, Mongo
from datastore.records import Hiding

# How far the clock of who made an id may have been behind MongoDB's, with the time the write itself took.
MARGIN_MS = 60_000
_IDLE_SECONDS = 0.1
# Documents of one question: some tens of milliseconds of MongoDB.
SLICE = 5000
# Edges of one side in their order of time. MongoDB looks once at each person's newest and goes on to the next person.
_BY_TIME: dict[str, tuple[str, Keys]] = {
    "follows": ("_id.a", [("_id.a", 1), ("at", -1), ("_id.f", -1)]),
    "blocks": ("_id.o", [("_id.o", 1), ("_id.k", 1), ("at", -1), ("_id.t", -1)]),
}
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
        for collection, name in (("tweets", EventName.TWEET_POSTED), ("retweets", EventName.TWEET_RETWEETED)):
            async for doc in self._made(collection):
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

    async def _made(self, collection: str) -> AsyncIterator[Doc]:
        """Tweets or retweets since then, in the order of their ids."""
        after = ids.first_at(self._since_ms) - 1
        while True:
            query = {"_id": {"$gt": after}}
            fields = {"author": 1, "alive": 1, "imported": 1}
            docs = await self._mongo.db[collection].find(query, fields).sort("_id", 1).limit(SLICE).to_list(None)
            for doc in docs:
                if doc.get("alive") and not doc.get("imported"):
                    yield doc
            if len(docs) < SLICE:
                return
            after = docs[-1]["_id"]

    async def _edges(self, collection: str) -> AsyncIterator[Doc]:
        """Follows or blocks since then, slice by slice of the people whose they are."""
        person, index = _BY_TIME[collection]
        async for above, below in self._people():
            of_them = {person: {"$gt": above, "$lte": below}, "at": {"$gte": self._since_ms}}
            found = self._mongo.db[collection].find(of_them | {"imported": {"$ne": True}}, {"_id": 1}).hint(index)
            async for doc in found:
                yield doc

    async def _people(self) -> AsyncIterator[tuple[int, int]]:
        """Ranges of ids, the first bound exclusive: everybody, and so many at a time at most."""
        after = -1
        while True:
            found = self._mongo.users.find({"_id": {"$gt": after}}, {"_id": 1}).sort("_id", 1).skip(SLICE - 1).limit(1)
            last = await found.to_list(1)
            if not last:
                yield after, ids.MAX_ID
                return
            yield after, last[0]["_id"]
            after = last[0]["_id"]


def _bucket(user_id: int) -> int:
    return ids.spread(user_id, ids.AUTHOR_BUCKETS)

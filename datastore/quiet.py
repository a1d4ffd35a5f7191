"""Quiet: which counted things changed since a moment, by the change stream. Writes nothing but its own mark.

Why: a counter moves a moment after its edge, so a number that differs from its edges may only be late. Where no edge
came or went for longer than a write can take, none is late, and the difference is exact.
"""

import asyncio
from collections.abc import Collection
from typing import Any, TypeAlias

from datastore import popularity
from datastore.mongo import Doc, Mongo, Timestamp, watching

# What was touched, and whose: followers, tweets or road and the author; following and the follower; follow, author and
# follower; likes, retweets, replies or place and the tweet.
Touch: TypeAlias = tuple[Any, ...]
# By a document that a purge has taken since: nobody can tell whose it was.
UNKNOWN: Touch = ("unknown",)
# Reading a minute of changes of some hundred ids takes milliseconds; a stalled stream is given up.
READ_SECONDS = 20.0
_MARK = "reconcile_mark"


class Quiet:
    """What is not quiet."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    async def now(self) -> Timestamp:
        """The moment to ask about later."""
        return await self._mongo.cluster_time()

    async def touched(self, since: Timestamp, user_ids: Collection[int], tweet_ids: Collection[int]) -> set[Touch]:
        """Everything committed between `since` and this call that touches these users and tweets, and every author's
        change of roads. Raises TimeoutError. A mark is sent behind what went before, and read up to."""
        mark = await self._mark()
        found: set[Touch] = set()
        pipeline = _pipeline(list(user_ids), list(tweet_ids))
        options: Doc = {"full_document": "updateLookup", "start_at_operation_time": since}
        async with asyncio.timeout(READ_SECONDS), watching(self._mongo.db, pipeline, **options) as stream:
            async for change in stream:
                if change["ns"]["coll"] == "system":
                    if change["updateDescription"]["updatedFields"].get("n", 0) >= mark:
                        break
                else:
                    found |= _touches(change)
        return found

    async def _mark(self) -> int:
        query = {"_id": _MARK}
        # Inserted first: only updates are read, and the very first mark must be one.
        await self._mongo.system.update_one(query, {"$setOnInsert": {"n": 0}}, upsert=True)
        doc = await self._mongo.system.find_one_and_update(query, {"$inc": {"n": 1}}, return_document=True)
        mark: int = doc["n"]
        return mark


def _pipeline(users: list[int], tweets: list[int]) -> list[Doc]:
    """The changes that matter, sifted by the server."""
    updated = "updateDescription.updatedFields"
    moved: list[Doc] = []
    for field in popularity.FIELDS.values():
        moved += [{f"{updated}.{field}": {"$exists": True}}, {"updateDescription.removedFields": field}]
    of_tweet = [{"fullDocument.author": {"$in": users}}, {"fullDocument.reply_to": {"$in": tweets}}]
    # Gone meanwhile, by a purge: nobody can tell whose it was.
    gone: Doc = {"fullDocument": None}
    wanted: list[Doc] = [
        {"ns.coll": "system", "operationType": "update", "documentKey._id": _MARK},
        {"ns.coll": "follows", "documentKey._id.a": {"$in": users}},
        {"ns.coll": "follows", "documentKey._id.f": {"$in": users}},
        {"ns.coll": "likes", "documentKey._id.t": {"$in": tweets}},
        {"ns.coll": "users", "operationType": "update", f"{updated}.top": {"$exists": True}},
        {"ns.coll": "tweets", "operationType": "insert", "$or": of_tweet},
        {"ns.coll": "tweets", f"{updated}.deleted_at": {"$exists": True}, "$or": [*of_tweet, gone]},
        {"ns.coll": "tweets", "documentKey._id": {"$in": tweets}, "$or": moved},
        {"ns.coll": "retweets", "operationType": "insert", "fullDocument.tweet": {"$in": tweets}},
        {
            "ns.coll": "retweets",
            f"{updated}.undone_at": {"$exists": True},
            "$or": [{"fullDocument.tweet": {"$in": tweets}}, gone],
        },
    ]
    fields = ("ns.coll", "documentKey", "operationType", f"{updated}.n", f"{updated}.deleted_at")
    bodies = ("fullDocument.author", "fullDocument.reply_to", "fullDocument.tweet")
    return [{"$match": {"$or": wanted}}, {"$project": dict.fromkeys((*fields, *bodies), 1)}]


def _touches(change: Doc) -> set[Touch]:
    collection, key = change["ns"]["coll"], change["documentKey"]["_id"]
    body, updated = change.get("fullDocument") or {}, change.get("updateDescription", {}).get("updatedFields", {})
    if collection == "follows":
        return {("followers", key["a"]), ("following", key["f"]), ("follow", key["a"], key["f"])}
    if collection == "likes":
        return {("likes", key["t"])}
    if collection == "users":
        return {("road", key)}
    if collection == "retweets":
        return {("retweets", body["tweet"])} if body else {UNKNOWN}
    if change["operationType"] != "insert" and "deleted_at" not in updated:
        return {("place", key)}
    if not body:
        return {UNKNOWN}
    found: set[Touch] = {("tweets", body["author"]), ("place", key)}
    return found | ({("replies", body["reply_to"])} if "reply_to" in body else set())

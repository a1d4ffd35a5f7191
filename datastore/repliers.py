"""Repliers: how many living replies each person has to each tweet of another's, so that everybody engages it once.

Numbers are only ever added to, so that they come out right in whatever order replies come and go, and of all who move
one exactly those are told so who made it begin or end. Never knows which replies they are; a reconciler recounts them.
"""

from datastore.mongo import Doc, Mongo


class Repliers:
    """Of every tweet."""

    def __init__(self, mongo: Mongo) -> None:
        self._repliers = mongo.repliers

    async def move(self, tweet_id: int, replier_id: int, by: int) -> int:
        """Count `by` more replies; by how many repliers the tweet has more now: 1, 0 or -1. One atomic write."""
        pair = pair_of(tweet_id, replier_id)
        doc: Doc = await self._repliers.find_one_and_update(
            {"_id": pair}, {"$inc": {"n": by}}, upsert=True, return_document=True
        )
        if not doc["n"]:
            await self._repliers.delete_one({"_id": pair, "n": 0})
        return begun(doc["n"] - by, doc["n"])


def pair_of(tweet_id: int, replier_id: int) -> Doc:
    """The _id of their number."""
    return {"t": tweet_id, "a": replier_id}


def begun(before: int, after: int) -> int:
    """By how many repliers a tweet has more when one of them has so many replies instead of so many."""
    return (after > 0) - (before > 0)

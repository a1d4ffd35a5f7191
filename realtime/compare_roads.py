"""Roads compared: whether each author travels the way their followers call for, and whether each follow says so.

Never writes what it finds: a switch and a flag belong to the worker of the author's partition, which is told to look.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from datastore import ids
from datastore.counters import next_after, slice_of
from datastore.drift import Drift, Judged, Kind, Look, Position
from datastore.events import Event, EventName
from datastore.mongo import Doc, Mongo
from datastore.quiet import Quiet
from realtime.handlers import Rooms

# The author and the follower of one follow.
Pair = tuple[int, int]


class AuthorRoads:
    """Every author above the threshold is a top user and nobody below it is; at exactly the threshold either is right.
    A changed threshold, or a promotion that was lost, shows here."""

    name: ClassVar[str] = "author roads"
    kinds: ClassVar[Sequence[Kind]] = (Kind.ROAD,)

    def __init__(self, mongo: Mongo, rooms: Rooms, quiet: Quiet, threshold: int) -> None:
        self._mongo = mongo
        self._rooms = rooms
        self._quiet = quiet
        self._threshold = threshold

    async def look(self, after: Position, size: int) -> Look[int]:
        fields = dict.fromkeys(("followers", "top", "deleted_at"), 1)
        docs = await slice_of(self._mongo.users, after, size, fields)
        living = [doc for doc in docs if "deleted_at" not in doc]
        suspects = [doc["_id"] for doc in living if self._road(doc["followers"], doc["top"]) != doc["top"]]
        return Look(len(living), suspects, next_after(docs, size))

    def _road(self, followers: int, top: bool) -> bool:
        """Whether it should be the top road."""
        return top if followers == self._threshold else followers > self._threshold

    async def judge(self, suspects: Sequence[int], since: Any, repair: bool) -> Judged[int]:
        wrong = await self._wrong(suspects)
        touched = await self._quiet.touched(since, suspects, [])
        judged: Judged[int] = Judged([], [])
        for author, top in wrong.items():
            if {("followers", author), ("road", author)} & touched:
                judged.busy.append(author)
                continue
            if repair:
                name = EventName.USER_PROMOTED if top else EventName.USER_DEMOTED
                await self._rooms.raise_event(Event(name, ids.spread(author, ids.AUTHOR_BUCKETS), author))
            judged.drifts.append(Drift(Kind.ROAD, author, not top, top))
        return judged

    async def repaired(self, drifts: Sequence[Drift]) -> set[tuple[int, int]]:
        wrong = await self._wrong([drift.subject_id for drift in drifts])
        return {(drift.subject_id, 0) for drift in drifts if drift.subject_id not in wrong}

    async def _wrong(self, author_ids: Sequence[int]) -> dict[int, bool]:
        """Those who should change roads, with the road that they should take; by the edges."""
        found = {}
        query: Doc = {"_id": {"$in": list(author_ids)}, "deleted_at": None}
        async for doc in self._mongo.users.find(query, {"top": 1}):
            followers = await self._rooms.follows.count_followers(doc["_id"], self._threshold + 2)
            if (top := self._road(followers, doc["top"])) != doc["top"]:
                found[doc["_id"]] = top
        return found


class FollowFlags:
    """A follow is flagged exactly if its author is a top user."""

    name: ClassVar[str] = "follow flags"
    kinds: ClassVar[Sequence[Kind]] = (Kind.FLAG,)

    def __init__(self, mongo: Mongo, rooms: Rooms, quiet: Quiet) -> None:
        self._mongo = mongo
        self._rooms = rooms
        self._quiet = quiet

    async def look(self, after: Position, size: int) -> Look[Pair]:
        docs = await slice_of(self._mongo.follows, after, size, {"top": 1})
        return Look(len(docs), list(await self._wrong(docs)), next_after(docs, size))

    async def judge(self, suspects: Sequence[Pair], since: Any, repair: bool) -> Judged[Pair]:
        wrong = await self._wrong(await self._edges(suspects))
        touched = await self._quiet.touched(since, [author for author, _ in suspects], [])
        judged: Judged[Pair] = Judged([], [])
        for (author, follower), top in wrong.items():
            if {("follow", author, follower), ("road", author)} & touched:
                judged.busy.append((author, follower))
                continue
            if repair:
                bucket = ids.spread(author, ids.AUTHOR_BUCKETS)
                await self._rooms.raise_event(Event(EventName.FOLLOW_DOUBTED, bucket, author, follower))
            judged.drifts.append(Drift(Kind.FLAG, author, not top, top, follower))
        return judged

    async def repaired(self, drifts: Sequence[Drift]) -> set[tuple[int, int]]:
        pairs = [(drift.subject_id, drift.other_id) for drift in drifts]
        return set(pairs) - (await self._wrong(await self._edges(pairs))).keys()

    async def _edges(self, pairs: Sequence[Pair]) -> list[Doc]:
        keys = [{"a": author, "f": follower} for author, follower in pairs]
        return [doc async for doc in self._mongo.follows.find({"_id": {"$in": keys}}, {"top": 1})]

    async def _wrong(self, docs: Sequence[Doc]) -> dict[Pair, bool]:
        """Those of the follows that are flagged wrongly, with what is right. An author who is gone is no top user, and
        neither are their follows looked at: they go with the purge."""
        authors = list({doc["_id"]["a"] for doc in docs})
        query: Doc = {"_id": {"$in": authors}, "deleted_at": None}
        tops = {doc["_id"]: doc["top"] async for doc in self._mongo.users.find(query, {"top": 1})}
        return {
            (doc["_id"]["a"], doc["_id"]["f"]): tops[doc["_id"]["a"]]
            for doc in docs
            if tops.get(doc["_id"]["a"], doc.get("top", False)) != doc.get("top", False)
        }

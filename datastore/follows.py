"""Follows: unique edges from follower to author, and the two counters they move."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from datastore.errors import DomainError, ErrorCode
from datastore.mongo import Doc, DuplicateKeyError, Mongo, aggregated
from datastore.records import CursorKind, Edge, Key
from datastore.together import Find, Keyed, Look

# Followers are walked in batches of this size: 16 KB on the wire.
WALK_BATCH = 1000
# Followers of several authors read in one round trip: 250 KB on the wire.
EDGES_AT_ONCE = 10_000
# By (author, follower), answered from the _id index alone.
_EDGES = Keyed("follows", {"_id": 1}, lambda doc: (*doc["_id"].values(),), lambda key: {"a": key[0], "f": key[1]})
# By follower, of top users alone. Covered by a partial index: it costs what it gives.
_TOP_FOLLOWEES = Keyed(
    "follows", {"_id.a": 1, "_id.f": 1}, lambda doc: doc["_id"]["f"], by="_id.f", where={"top": True}
)


class Follows:
    """Who follows whom. An edge's _id is {a: author, f: follower}, so that a delete names both."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._follows = mongo.follows
        self._users = mongo.users

    async def add(self, follower_id: int, author_id: int, now_ms: int) -> bool:
        """Follow; False if it was so already. Raises SELF_ACTION. The counters move only with a new edge."""
        if follower_id == author_id:
            raise DomainError(ErrorCode.SELF_ACTION, "You cannot follow yourself.", ("input", "userId"))
        try:
            await self._follows.insert_one({"_id": {"a": author_id, "f": follower_id}, "at": now_ms})
        except DuplicateKeyError:
            return False
        await self._count(follower_id, author_id, 1)
        return True

    async def remove(self, follower_id: int, author_id: int) -> bool:
        """Unfollow; False if there was nothing to end."""
        result = await self._follows.delete_one({"_id": {"a": author_id, "f": follower_id}})
        if not result.deleted_count:
            return False
        await self._count(follower_id, author_id, -1)
        return True

    async def _count(self, follower_id: int, author_id: int, by: int) -> None:
        await asyncio.gather(
            self._users.move_one({"_id": author_id}, {"$inc": {"followers": by}}),
            self._users.move_one({"_id": follower_id}, {"$inc": {"following": by}}),
        )

    async def existing(self, pairs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
        """Those of the (follower, author) pairs that follow. One round trip, answered from the _id index alone."""
        return await self.find_existing(pairs).alone()

    def find_existing(self, pairs: Iterable[tuple[int, int]]) -> Look[set[tuple[int, int]]]:
        """`existing`, to be asked together with others."""
        return Look(self._mongo, _EDGES, [(author, follower) for follower, author in pairs], _pairs)

    def find_followers_among(self, viewers: Mapping[int, Collection[int]]) -> Find[dict[int, set[int]]]:
        """By author, those of their `viewers` who follow them; authors without one are left out. One round trip,
        answered from the _id index alone."""
        return Find(self._mongo, "follows", _among(viewers), {"_id": 1}, _by_author)

    def count_followers_among(self, viewers: Mapping[int, Collection[int]]) -> Find[int]:
        """How many there are of these in all: where that is everybody, no document is needed, of which a thousand cost
        a driver 2 ms. Likewise."""
        return Find(self._mongo, "follows", _among(viewers), {"_id": 0, "n": 1}, _count, counted=True)

    async def walk_followers(self, author_id: int) -> AsyncIterator[list[int]]:
        """Every follower of an author in batches, ascending by id. A follow made meanwhile may be missed: its own
        event merges."""
        after = -1
        while True:
            cursor = self._follows.find(_of_author(author_id, after), {"_id": 1}).sort("_id", 1).limit(WALK_BATCH)
            batch = [doc["_id"]["f"] async for doc in cursor]
            if batch:
                yield batch
            if len(batch) < WALK_BATCH:
                return
            after = batch[-1]

    async def followers_of(self, author_ids: Sequence[int]) -> dict[int, list[int]]:
        """The followers of each of these authors, in no order; none of those who come behind `EDGES_AT_ONCE` edges. One
        round trip, answered from an index alone: a walk for each costs six times the CPU at 75 followers."""
        # The order names the index, and says whose edges the limit cuts.
        order = {"_id.a": 1, "at": -1, "_id.f": -1}
        edges: list[Doc] = [{"$match": {"_id.a": {"$in": list(author_ids)}}}, {"$sort": order}]
        by_author: Doc = {"_id": "$_id.a", "followers": {"$push": "$_id.f"}}
        docs = await aggregated(self._follows, [*edges, {"$limit": EDGES_AT_ONCE + 1}, {"$group": by_author}])
        found: dict[int, list[int]] = {doc["_id"]: doc["followers"] for doc in docs}
        if sum(map(len, found.values())) <= EDGES_AT_ONCE:
            return {author_id: found.get(author_id, []) for author_id in author_ids}
        del found[max(found)]
        return found

    async def count_followers(self, author_id: int, at_most: int) -> int:
        """How many follow an author by the edges themselves, counted up to `at_most`. Covered by the _id index."""
        counted: int = await self._follows.count_documents(_of_author(author_id), limit=at_most, hint="_id_")
        return counted

    async def flag(self, author_id: int, follower_ids: Sequence[int], top: bool) -> None:
        """Mark these follows of an author as followed by pulling (a top user's), or no longer."""
        query = {"_id": {"$in": [{"a": author_id, "f": follower} for follower in follower_ids]}}
        await self._follows.update_many(query, {"$set": {"top": True}} if top else {"$unset": {"top": ""}})

    async def top_followee_ids(self, follower_id: int) -> list[int]:
        """The top users this person follows. Covered by a partial index: it costs what it gives."""
        return await self.find_top_followees(follower_id).alone()

    def find_top_followees(self, follower_id: int) -> Look[list[int]]:
        """`top_followee_ids`, to be asked together with others."""
        return Look(self._mongo, _TOP_FOLLOWEES, [follower_id], _authors)

    async def followee_ids(self, follower_id: int) -> list[int]:
        """Everybody this person follows, newest follow first. Covered by the index."""
        cursor = self._follows.find({"_id.f": follower_id}, {"_id.a": 1, "at": 1}).sort([("at", -1), ("_id.a", -1)])
        return [doc["_id"]["a"] async for doc in cursor]

    async def followers(self, author_id: int, first: int, after: Key | None) -> list[Edge[int]]:
        """Up to `first` edges of (follower id, since), newest first; `after` is exclusive."""
        return await self._edges("a", author_id, "f", CursorKind.FOLLOWERS, first, after)

    async def following(self, follower_id: int, first: int, after: Key | None) -> list[Edge[int]]:
        """Up to `first` edges of (author id, since), newest first; `after` is exclusive."""
        return await self._edges("f", follower_id, "a", CursorKind.FOLLOWING, first, after)

    async def _edges(
        self, side: str, user_id: int, other: str, kind: CursorKind, first: int, after: Key | None
    ) -> list[Edge[int]]:
        query = edges_query(f"_id.{side}", user_id, f"_id.{other}", after)
        cursor = self._follows.find(query, {"_id": 1, "at": 1}).sort([("at", -1), (f"_id.{other}", -1)]).limit(first)
        return [edge_of(doc, other, kind) async for doc in cursor]


def _pairs(docs: Sequence[Doc]) -> set[tuple[int, int]]:
    return {(doc["_id"]["f"], doc["_id"]["a"]) for doc in docs}


def _among(viewers: Mapping[int, Collection[int]]) -> Doc:
    return {"_id": {"$in": [{"a": author, "f": viewer} for author, some in viewers.items() for viewer in some]}}


def _by_author(docs: Sequence[Doc]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for doc in docs:
        edge = doc["_id"]
        found.setdefault(edge["a"], set()).add(edge["f"])
    return found


def _count(docs: Sequence[Doc]) -> int:
    return docs[0]["n"] if docs else 0


def _authors(docs: Sequence[Doc]) -> list[int]:
    return [doc["_id"]["a"] for doc in docs]


def _of_author(author_id: int, after_follower: int = -1) -> Doc:
    return {"_id": {"$gt": {"a": author_id, "f": after_follower}, "$lt": {"a": author_id + 1}}}


def edges_query(side: str, owner_id: int, other: str, after: Sequence[int] | None) -> Doc:
    """The keyset query for edges of one owner, newest first, ties by the other end."""
    query: Doc = {side: owner_id}
    if after is not None:
        at, other_id = after
        query["$or"] = [{"at": {"$lt": at}}, {"at": at, other: {"$lt": other_id}}]
    return query


def edge_of(doc: Doc, other: str, kind: CursorKind) -> Edge[int]:
    """The edge as a row of a page: the node is the id of the other end."""
    at, other_id = doc["at"], doc["_id"][other]
    return Edge(kind, (at, other_id), other_id, datetime.fromtimestamp(at / 1000, UTC))

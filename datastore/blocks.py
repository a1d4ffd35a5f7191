"""Blocks and mutes: unique edges by which one person hides another. A block holds both ways, a mute one way."""

from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from datastore.errors import DomainError, ErrorCode
from datastore.follows import edge_of, edges_query
from datastore.mongo import Doc, DuplicateKeyError, Mongo
from datastore.records import CursorKind, Edge, Hiding, Key, Regard
from datastore.together import Find, Keyed, Look

# The whole _id, in words that an index of its parts can answer alone.
_TOLD: Doc = {"_id.t": 1, "_id.o": 1, "_id.k": 1}
_BLOCK, _MUTE = Hiding.BLOCK.value, Hiding.MUTE.value
_CURSORS = {Hiding.BLOCK: CursorKind.BLOCKED, Hiding.MUTE: CursorKind.MUTED}


def _either_way(viewers: Iterable[int], others: Iterable[int]) -> Doc:
    """Edges between any of the viewers and any of the others, either way."""
    theirs = {"_id.t": {"$in": [*others]}, "_id.o": {"$in": [*viewers]}}
    return {"$or": [theirs, {"_id.t": {"$in": [*viewers]}, "_id.o": {"$in": [*others]}, "_id.k": _BLOCK}]}


def _between(pairs: Iterable[tuple[int, int]]) -> Doc:
    return _either_way({viewer for viewer, _ in pairs}, {other for _, other in pairs})


# By (viewer, other).
_EDGES = Keyed("blocks", _TOLD, query=_between)


class Blocks:
    """Who hides whom. An edge's _id is {o: owner, k: kind, t: target}, so that a delete names all three."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._blocks = mongo.blocks

    async def add(self, owner_id: int, kind: Hiding, target_id: int, now_ms: int) -> bool:
        """Hide somebody; False if it was so already. Raises SELF_ACTION."""
        if owner_id == target_id:
            raise DomainError(ErrorCode.SELF_ACTION, f"You cannot {kind} yourself.", ("input", "userId"))
        try:
            await self._blocks.insert_one({"_id": {"o": owner_id, "k": kind.value, "t": target_id}, "at": now_ms})
        except DuplicateKeyError:
            return False
        return True

    async def remove(self, owner_id: int, kind: Hiding, target_id: int) -> bool:
        """Hide no longer; False if there was nothing to end."""
        result = await self._blocks.delete_one({"_id": {"o": owner_id, "k": kind.value, "t": target_id}})
        return bool(result.deleted_count)

    async def regards(self, viewer_id: int, others: Iterable[int]) -> dict[int, Regard]:
        """How the viewer and each of the others stand; those who hide nothing are left out. One round trip."""
        found = await self.regards_between((viewer_id, other) for other in others)
        return {other: regard for (_, other), regard in found.items()}

    async def regards_between(self, pairs: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Regard]:
        """How the first and the second of each pair stand, seen by the first; pairs that hide nothing are left out.

        One round trip, answered from an index alone. Edge by edge, nearly always for nothing, it costs two and a half
        times as much.
        """
        return await self.find_regards(pairs).alone()

    def find_regards(self, pairs: Iterable[tuple[int, int]]) -> Look[dict[tuple[int, int], Regard]]:
        """`regards_between`, to be asked together with others."""
        asked = set(pairs)
        return Look(self._mongo, _EDGES, [*asked], partial(_regards, asked))

    def find_regards_of_many(
        self, viewers: Collection[int], others: Collection[int]
    ) -> Find[dict[tuple[int, int], Regard]]:
        """`find_regards` of each of these viewers and each of the others, without a pair for each. Nobody shares it."""
        made = partial(_regards, _Pairs({*viewers}, {*others}))
        return Find(self._mongo, "blocks", _either_way(viewers, others), _TOLD, made)

    async def of_owner(self, owner_id: int, kind: Hiding, first: int, after: Key | None) -> list[Edge[int]]:
        """Up to `first` edges of (hidden person, since), newest first; `after` is exclusive."""
        query = edges_query("_id.o", owner_id, "_id.t", after) | {"_id.k": kind.value}
        cursor = self._blocks.find(query, {"_id": 1, "at": 1}).sort([("at", -1), ("_id.t", -1)]).limit(first)
        return [edge_of(doc, "t", _CURSORS[kind]) async for doc in cursor]


@dataclass(frozen=True, slots=True)
class _Pairs(Container[tuple[int, int]]):
    """Every pair of a viewer and another."""

    viewers: Collection[int]
    others: Collection[int]

    def __contains__(self, pair: Any) -> bool:
        return pair[0] in self.viewers and pair[1] in self.others


def _regards(asked: Container[tuple[int, int]], docs: Sequence[Doc]) -> dict[tuple[int, int], Regard]:
    found: dict[tuple[int, int], set[str]] = {}
    for doc in docs:
        owner, kind, target = doc["_id"]["o"], doc["_id"]["k"], doc["_id"]["t"]
        if (owner, target) in asked:
            found.setdefault((owner, target), set()).add(kind)
        if (target, owner) in asked and kind == _BLOCK:
            found.setdefault((target, owner), set()).add("blocked by")
    return {
        pair: Regard(blocks="block" in how, mutes="mute" in how, blocked_by="blocked by" in how)
        for pair, how in found.items()
    }

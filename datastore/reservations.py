"""Reservations: what one document alone may have (a name, an address, a pair), as a document of its own whose _id is
that value. Never decides who may have it.

A sharded cluster has no unique index but that of the shard key; the _id of a small collection is one everywhere.

The order that makes each crash harmless: the value is taken first, then the document that has it is inserted, under
the id that the reservation tells. A reservation whose document never came is given up only when that document cannot
come any more: a tombstone stands under its id, so that a writer who was frozen in between is refused by the _id. No
clock decides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from datastore.mongo import Collection, Doc, DuplicateKeyError

# A string, or a pair as a document: the same pair has its fields in the same order.
Value: TypeAlias = str | Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reserved:
    """One kind of value. `value_of` gives what a document has, None for a tombstone that has it no more, and needs
    these `fields`; `tombstone` makes one for a document that must not come, from its id, the value and the time."""

    reservations: Collection
    documents: Collection
    fields: Sequence[str]
    value_of: Callable[[Doc], Any]
    tombstone: Callable[[int, Any, datetime], Doc]


class Reservations:
    """Those of one kind of value."""

    def __init__(self, of: Reserved) -> None:
        self.of = of
        self._reservations = of.reservations

    async def take(self, value: Value, of: int) -> int:
        """The id of the document that has the value from now on: `of` if nobody had it. Idempotent."""
        while True:
            try:
                await self._reservations.insert_one(reservation(value, of))
                return of
            except DuplicateKeyError:
                holder = await self.holder(value)
            if holder is not None:
                return holder

    async def holder(self, value: Value) -> int | None:
        """The id of the document that has the value."""
        doc = await self._reservations.find_one({"_id": value})
        return doc["of"] if doc else None

    async def claim(self, value: Value, of: int) -> bool:
        """Whether the document has the value from now on: it has, unless another one has it. Idempotent."""
        while (holder := await self.take(value, of)) != of:
            if not await self.vacated(value, holder):
                return False
            await self.pass_on(value, holder, of)
        return True

    async def pass_on(self, value: Value, holder: int, to: int) -> bool:
        """Give the value to another document; False if `holder` has it no more. One atomic write."""
        result = await self._reservations.update_one(reservation(value, holder), {"$set": {"of": to}})
        return bool(result.matched_count)

    async def give_back(self, value: Value, holder: int) -> bool:
        """Whoever comes may have the value; False if `holder` has it no more. One atomic write."""
        result = await self._reservations.delete_one(reservation(value, holder))
        return bool(result.deleted_count)

    async def vacated(self, value: Value, holder: int) -> bool:
        """Whether that document does not have the value and never will. Where it is not there, a tombstone is from now
        on: who was about to insert it is refused. Idempotent."""
        fields = dict.fromkeys(self.of.fields, 1)
        while (doc := await self.of.documents.find_one({"_id": holder}, fields)) is None:
            try:
                await self.of.documents.insert_one(self.of.tombstone(holder, value, datetime.now(UTC)))
            except DuplicateKeyError:  # here it is
                continue
        return bool(self.of.value_of(doc) != value)


def reservation(value: Value, of: int) -> Doc:
    """The document that says so."""
    return {"_id": value, "of": of}

"""Together: several small finds answered in one round trip. Never decides what is asked, nor what is made of it.

A find costs a driver 250 us and more, whatever it finds; one aggregation that joins three of them costs less than two.
The finds read one after the other and not a snapshot, just as if they had been sent side by side.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from datastore.mongo import Collection, Doc, aggregated

T = TypeVar("T")
# Which find a document answers.
_OF = "of"


@dataclass(frozen=True, slots=True)
class Find(Generic[T]):
    """What to ask of a collection, and what is made of the documents that come back. `sort` decides which index can
    answer: a hint is possible for none but the first of several finds."""

    collection: Collection
    query: Doc
    fields: Doc
    made: Callable[[Sequence[Doc]], T]
    sort: Mapping[str, int] | None = None
    limit: int = 0

    async def alone(self) -> T:
        """What it makes, by a round trip of its own."""
        cursor = self.collection.find(self.query, self.fields)
        cursor = cursor.sort([*self.sort.items()]) if self.sort else cursor
        return self.made(await (cursor.limit(self.limit) if self.limit else cursor).to_list(None))

    def stages(self, number: int) -> list[Doc]:
        """The find as an aggregation whose documents say that they are of it."""
        found: list[Doc] = [{"$match": self.query}]
        found += [{"$sort": dict(self.sort)}] if self.sort else []
        found += [{"$limit": self.limit}] if self.limit else []
        return [*found, {"$project": {**self.fields, _OF: {"$literal": number}}}]


async def together(*finds: Find[Any]) -> list[Any]:
    """What each of the finds makes, in order. One round trip."""
    first, *others = ((find, find.stages(number)) for number, find in enumerate(finds))
    joined = [{"$unionWith": {"coll": find.collection.name, "pipeline": stages}} for find, stages in others]
    docs: list[list[Doc]] = [[] for _ in finds]
    for doc in await aggregated(first[0].collection, [*first[1], *joined]):
        docs[doc[_OF]].append(doc)
    return [find.made(found) for find, found in zip(finds, docs, strict=True)]

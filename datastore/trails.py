"""Trails: to which trace a new entry of timelines belongs, so that workers and sockets go on with it. Written only
where a trace is recorded, gone after ten minutes; ids of entries and of spans, nothing else.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from datastore import tracing
from datastore.mongo import Mongo, PyMongoError, UpdateOne
from datastore.tracing import Parent


class Trails:
    """What was left for those who come later. They ask only while `tracing.is_on`."""

    def __init__(self, mongo: Mongo) -> None:
        self._trails = mongo.trails

    async def leave(self, entry_id: int) -> None:
        """The current span, for whoever handles this entry; before it is written, so that nobody is there first."""
        if parent := tracing.current():
            await self.pass_on({entry_id: parent})

    @asynccontextmanager
    async def stage(self, names: Mapping[int, str]) -> AsyncIterator[None]:
        """The block is a stage of these entries' way: each has a span of its name under what was left for it, and who
        comes later stands under that. Two round trips, none for none and where nothing is traced."""
        parents = await self.found(names) if tracing.is_on() else {}
        with tracing.spans([(names[entry], parent) for entry, parent in parents.items()]) as begun:
            await self.pass_on(dict(zip(parents, begun, strict=False)))
            yield

    async def pass_on(self, parents: Mapping[int, Parent]) -> None:
        """Whoever comes later stands under these. One round trip, none for none. What cannot be left fails nothing."""
        left = {entry_id: parent for entry_id, parent in parents.items() if parent}
        now = datetime.now(UTC)
        changes = [UpdateOne({"_id": key}, {"$set": {"parent": one, "at": now}}, True) for key, one in left.items()]
        if changes:
            with suppress(PyMongoError):
                await self._trails.bulk_write(changes, ordered=False)

    async def found(self, entry_ids: Collection[int]) -> dict[int, Parent]:
        """The spans left for these; none where they cannot be read. One round trip, none for no ids."""
        found: dict[int, Parent] = {}
        if entry_ids:
            with suppress(PyMongoError):
                async for doc in self._trails.find({"_id": {"$in": list(entry_ids)}}):
                    found[doc["_id"]] = doc["parent"]
        return found

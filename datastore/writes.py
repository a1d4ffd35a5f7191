"""Writes: inserts and moves of all requests of a process, in round trips that they share. Decides nothing of them.

A write costs a driver 250 us and more, and MongoDB a command and a wait for its journal, however little is written; one
command with a dozen of them costs little more. Of one command each document is written or refused by itself, as if it
had been sent alone, and nobody is told of another's refusal.

One command of a kind is under way for a collection at a time; what comes meanwhile goes with the next. So nobody waits
for company, and who is alone sends what they would have sent anyway.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from datastore import tracing
from datastore.calls import Collection, Doc
from datastore.deadlines import left_seconds
from datastore.joined import Joined
from datastore.tracing import Parent

# Writes of one round trip: MongoDB does one after the other, 100 to 200 us each.
WRITES_AT_ONCE = 32
# Two would leave less waiting and share less.
COMMANDS_AT_ONCE = 1
# Many times what a command takes. A majority that is slow to confirm is not waited for by who has no part in it.
PATIENCE_SECONDS = 0.1

# What came of each write of a command, in order: None, or why it was refused.
Outcomes = Sequence[Exception | None]
Send = Callable[[Collection, Sequence[Any]], Awaitable[Outcomes]]


@dataclass(frozen=True, slots=True)
class Driver:
    """What a driver does of it: `insert` takes documents, `move` pairs of a query and an update. Each is one round
    trip, and raises what holds for all. `late` makes what is raised for who could not wait."""

    insert: Send
    move: Send
    late: Callable[[], Exception]


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    """What one caller wants written, and in whose span."""

    given: Any
    parent: Parent


class Shared:
    """A collection whose inserts and moves are shared. All else is done by the driver's collection, as ever.

    `limit` bounds a round trip: it is nobody's in particular, so no one request's deadline may end it. Who waits no
    longer takes their write back if it has not been sent, and nobody else's.
    """

    def __init__(
        self, collection: Collection, driver: Driver, limit: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._collection, self._driver, self._limit = collection, driver, limit
        self._inserts, self._moves = self._lane(driver.insert), self._lane(driver.move)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def insert_one(self, doc: Doc, **options: Any) -> None:
        """One document. One round trip, shared with whoever inserts meanwhile; with options, such as a session, its
        own. Raises DuplicateKeyError."""
        if options:
            await self._collection.insert_one(doc, **options)
        else:
            await self._done(self._inserts, doc)

    async def move_one(self, query: Doc, update: Any) -> None:
        """Update at most one document and tell nothing of it: for counters. One round trip, shared likewise."""
        await self._done(self._moves, (query, update))

    async def _done(self, lane: "Joined[_Write, Exception | None]", given: Any) -> None:
        try:
            refusal = await lane.get(_Write(given, tracing.current()), left_seconds())
        except TimeoutError:
            raise self._driver.late() from None
        if refusal:
            raise refusal

    def _lane(self, send: Send) -> "Joined[_Write, Exception | None]":
        async def sent(writes: Sequence[_Write]) -> Mapping[_Write, Exception | None]:
            parents = [("mongodb writes", write.parent) for write in writes if write.parent]
            with self._limit(), tracing.spans(parents):
                outcomes = await send(self._collection, [write.given for write in writes])
            return dict(zip(writes, outcomes, strict=True))

        return Joined(sent, WRITES_AT_ONCE, COMMANDS_AT_ONCE, PATIENCE_SECONDS, Context)

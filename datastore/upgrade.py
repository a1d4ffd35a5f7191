"""Upgrade: a database of the version before gets what this one needs, before anybody is served. Never touches what
people wrote.

That version kept names, addresses, pairs, import keys and counted replies unique by indexes. While one of these is
there, what takes its place may not be complete: it is filled in slices, then the index goes. After a death in between
it goes on where it stood, and to run it again changes nothing. One process at a time; the others wait.

NOTE: no server and no worker of the version before may run meanwhile: they reserve nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from datastore import ids, retweets, tweets, users
from datastore.counters import next_after, slice_of
from datastore.drift import Position
from datastore.mongo import BulkWriteError, Doc, Mongo, OperationFailure, aggregated
from datastore.passes import Pass, Passes
from datastore.reservations import Reserved, reservation

log = structlog.get_logger()

# Documents of one slice: some tens of milliseconds.
SLICE = 2000
# Many slices long. Who starts while another one died at it waits for so long.
LEASE_SECONDS = 20.0
LOOK_SECONDS = 0.2
_DUPLICATE_KEY = 11000
_INDEX_NOT_FOUND = 27

# Fills the slice behind a position; gives where the next one begins, None at the end.
Fill: TypeAlias = Callable[[Mongo, Position], Awaitable[Position]]


@dataclass(frozen=True, slots=True)
class Step:
    """An index of the version before, by its name, and what takes its place."""

    collection: str
    index: str
    fill: Fill


def _reserving(kind: Callable[[Mongo], Reserved]) -> Fill:
    async def fill(mongo: Mongo, after: Position) -> Position:
        of = kind(mongo)
        docs = await slice_of(of.documents, after, SLICE, dict.fromkeys(of.fields, 1))
        new = [reservation(value, doc["_id"]) for doc in docs if (value := of.value_of(doc)) is not None]
        try:
            if new:
                await of.reservations.insert_many(new, ordered=False)
        except BulkWriteError as error:
            if any(each["code"] != _DUPLICATE_KEY for each in (error.details or {})["writeErrors"]):
                raise
        return next_after(docs, SLICE)

    return fill


async def _repliers(mongo: Mongo, after: Position) -> Position:
    """How often each replier answers the tweets of the slice, counted by the server."""
    docs = await slice_of(mongo.tweets, after, SLICE, {"_id": 1})
    end = next_after(docs, SLICE)
    bounds = {"$gt": after or 0, "$lte": ids.MAX_ID if end is None else end}
    stages: list[Doc] = [
        {"$match": {"reply_to": bounds, "alive": True, "reply_author": {"$ne": tweets.GONE}}},
        {"$match": {"$expr": {"$ne": ["$author", "$reply_author"]}}},
        {"$group": {"_id": {"t": "$reply_to", "a": "$author"}, "n": {"$sum": 1}}},
        {"$merge": {"into": mongo.repliers.name, "whenMatched": "replace"}},
    ]
    await aggregated(mongo.tweets, stages, allowDiskUse=True)
    return end


STEPS = (
    Step("users", "name_key_1", _reserving(users.reserved_names)),
    Step("users", "email_key_1", _reserving(users.reserved_emails)),
    Step("retweets", "author_1_tweet_1_alive_1", _reserving(retweets.reserved_pairs)),
    Step("tweets", "import_key_1", _reserving(tweets.reserved_imports)),
    Step("tweets", "reply_to_1_author_1_counted_1", _repliers),
)
# What another index does as well, by collection and name.
SUPERSEDED = (("blocks", "_id.t_1"),)


async def prepare(mongo: Mongo, holder: str) -> None:
    """Everything that a server or a worker needs of the database: indexes, reservations. Idempotent."""
    await mongo.ensure_indexes()
    for collection, index in SUPERSEDED:
        await _drop(mongo, collection, index)
    passes = Passes(mongo, holder, "upgrade")
    while left := await old_indexes(mongo):
        await passes.prepare(0)
        if at := await passes.take(LEASE_SECONDS):
            log.info("upgrade.started", stage=at.stage, left=len(left))
            await _run(mongo, passes, at, left)
        else:
            await asyncio.sleep(LOOK_SECONDS)


async def fill(mongo: Mongo) -> None:
    """Fill all that may be missing, at once. Idempotent; for a database that nobody uses meanwhile."""
    for step in STEPS:
        after = await step.fill(mongo, None)
        while after is not None:
            after = await step.fill(mongo, after)


async def old_indexes(mongo: Mongo) -> list[Step]:
    """The steps that are left to do."""
    there = {name: await mongo.db[name].index_information() for name in {step.collection for step in STEPS}}
    return [step for step in STEPS if step.index in there[step.collection]]


async def _run(mongo: Mongo, passes: Passes, at: Pass, left: list[Step]) -> None:
    after = at.after
    for stage, step in enumerate(STEPS):
        if stage < at.stage or step not in left:
            continue
        while True:
            after = await step.fill(mongo, after)
            if not await passes.keep(stage, after, LEASE_SECONDS):
                return
            if after is None:
                break
        await _drop(mongo, step.collection, step.index)
        log.info("upgrade.replaced", collection=step.collection, index=step.index)
        if not await passes.keep(stage + 1, None, LEASE_SECONDS):
            return
    await passes.finish(0, 0, 0)


async def _drop(mongo: Mongo, collection: str, index: str) -> None:
    """Idempotent: whoever had the lease before may have died behind it."""
    try:
        await mongo.db[collection].drop_index(index)
    except OperationFailure as error:
        if error.code != _INDEX_NOT_FOUND:
            raise

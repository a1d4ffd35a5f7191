"""Bulk writes: many documents and the counters they move in one transaction. Used by the importer and the demo world.

Why transactions: an edge and its counters are then there together or not at all, so a second run after a crash adds to
the counters exactly what it adds to the edges, and never has to recount a popular author's followers. Adding also goes
well with people who follow meanwhile, which setting a recounted number would not.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar

from datastore import ids, popularity
from datastore.mongo import BulkWriteError, Collection, Doc, DuplicateKeyError, Mongo, Session, UpdateOne
from datastore.repliers import begun, pair_of
from datastore.reservations import reservation
from datastore.users import never

T = TypeVar("T")

# A duplicate key in a transaction is somebody else's write of this moment: the next try sees it and passes over it.
DUPLICATE_TRIES = 5
_DUPLICATE_KEY = 11000
# The driver itself runs a transaction again at once, and again.
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.002, 0.25


async def atomically(mongo: Mongo, work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
    """What `work` writes with its session, all or nothing, w:majority.

    On a conflict it runs again from its start, after a pause that grows: the other side may have been killed, and then
    its locks stay for seconds.
    """
    tries = runs = 0

    async def again(session: Session) -> T:
        nonlocal runs
        await asyncio.sleep(min(_FIRST_PAUSE_SECONDS * (2**runs - 1), _LAST_PAUSE_SECONDS))
        runs += 1
        return await work(session)

    while True:
        tries += 1
        try:
            async with mongo.session() as session:
                done: T = await session.with_transaction(again, write_concern=mongo.db.write_concern)
                return done
        except (BulkWriteError, DuplicateKeyError) as error:
            if tries == DUPLICATE_TRIES or not _only_duplicates(error):
                raise


def _only_duplicates(error: BulkWriteError | DuplicateKeyError) -> bool:
    if isinstance(error, DuplicateKeyError):
        return True
    return all(each["code"] == _DUPLICATE_KEY for each in (error.details or {}).get("writeErrors", [{"code": 0}]))


@dataclass(frozen=True, slots=True)
class Wish:
    """When something was made, whose it is, and 64 bits that are the same in every run."""

    at_ms: int
    author_id: int
    digest: int


async def free_ids(collection: Collection, wishes: Sequence[Wish], session: Session) -> list[int]:
    """An id for each wish, in their order, none of them taken. A taken one moves on: by 1 ms, then by a few more."""
    placed: dict[int, int] = {}
    used: set[int] = set()
    for attempt in count():
        tried = {at: _wished(wish, attempt) for at, wish in enumerate(wishes) if at not in placed}
        if not tried:
            break
        cursor = collection.find({"_id": {"$in": list(set(tried.values()))}}, {"_id": 1}, session=session)
        used |= {doc["_id"] async for doc in cursor}
        for at, id_ in tried.items():
            if id_ not in used:
                used.add(id_)
                placed[at] = id_
    return [placed[at] for at in range(len(wishes))]


def _wished(wish: Wish, attempt: int) -> int:
    # Files with dates only put thousands into one millisecond. Steps of one would take as many queries as there are
    # such rows; a random place in a range that doubles is found free after a few.
    later_ms = attempt if attempt < 2 else 1 + ids.spread(wish.digest + attempt, 2**attempt)
    return ids.new(wish.at_ms + later_ms, wish.author_id, tie=wish.digest & 1)


async def insert(collection: Collection, docs: Sequence[Doc], session: Session) -> None:
    """Insert all; their _ids are free."""
    if docs:
        await collection.insert_many(docs, ordered=False, session=session)


async def increment(collection: Collection, counter: str, owners: Iterable[int], session: Session) -> None:
    """Move `counter` of each owner by how often they are named. `imports` moves with it: that makes no event."""
    # In order of id, so that two imports at once conflict early and not after most of their work.
    counts = sorted(Counter(owners).items())
    if counts:
        updates = [UpdateOne({"_id": owner}, {"$inc": {counter: by, "imports": 1}}) for owner, by in counts]
        await collection.bulk_write(updates, ordered=False, session=session)


async def insert_people(mongo: Mongo, docs: Sequence[Doc], session: Session) -> None:
    """Insert people whose names and addresses nobody has, and reserve these for them."""
    for field, reservations in (("name_key", mongo.names), ("email_key", mongo.emails)):
        await _reserve(mongo, reservations, {doc[field]: doc["_id"] for doc in docs if field in doc}, session)
    await insert(mongo.users, docs, session)


async def _reserve(mongo: Mongo, reservations: Collection, wanted: Mapping[str, int], session: Session) -> None:
    """Ids by value. Who has reserved one and is not there (a sign-up under way, or one that died) cannot come then."""
    cursor = reservations.find({"_id": {"$in": list(wanted)}}, session=session)
    if held := {doc["_id"]: doc["of"] async for doc in cursor}:
        cursor = mongo.users.find({"_id": {"$in": list(held.values())}}, {"_id": 1}, session=session)
        absent = set(held.values()) - {doc["_id"] async for doc in cursor}
        await insert(mongo.users, [never(holder, datetime.now(UTC)) for holder in sorted(absent)], session)
        passed_on = [UpdateOne({"_id": value}, {"$set": {"of": wanted[value]}}) for value in held]
        await reservations.bulk_write(passed_on, ordered=False, session=session)
    await reserve(reservations, {value: of for value, of in wanted.items() if value not in held}, session)


async def reserve(reservations: Collection, wanted: Mapping[str, int], session: Session) -> None:
    """Reserve values that nobody has, for the documents of these ids."""
    await insert(reservations, [reservation(value, of) for value, of in wanted.items()], session)


async def increment_replies(mongo: Mongo, docs: Sequence[Doc], session: Session) -> None:
    """Count new tweets for those they answer: all of them as replies, new repliers as engagement."""
    replies = Counter(doc["reply_to"] for doc in docs if doc["is_reply"])
    engaged = await _engage(mongo, repliers_of(docs), session)
    imported = {"$set": {"imports": {"$add": [{"$ifNull": ["$imports", 0]}, 1]}}}
    updates = [
        UpdateOne({"_id": answered}, [*popularity.move("replies", by, engaged[answered]), imported])
        for answered, by in sorted(replies.items())
    ]
    if updates:
        await mongo.tweets.bulk_write(updates, ordered=False, session=session)


def repliers_of(docs: Iterable[Doc]) -> Counter[tuple[int, int]]:
    """By (answered tweet, replier), how many of these tweets answer somebody else's."""
    answers = [doc for doc in docs if doc["is_reply"] and doc["reply_author"] != doc["author"]]
    return Counter((doc["reply_to"], doc["author"]) for doc in answers)


async def _engage(mongo: Mongo, fresh: Counter[tuple[int, int]], session: Session) -> Counter[int]:
    """Count so many more replies; by how many repliers each tweet has more."""
    pairs = {"_id": {"$in": [pair_of(*pair) for pair in fresh]}}
    found = mongo.repliers.find(pairs, session=session) if fresh else None
    had = {(doc["_id"]["t"], doc["_id"]["a"]): doc["n"] async for doc in found} if found else {}
    new = [{"_id": pair_of(*pair), "n": by} for pair, by in fresh.items() if pair not in had]
    await insert(mongo.repliers, new, session)
    moves = [UpdateOne({"_id": pair_of(*pair)}, {"$inc": {"n": fresh[pair]}}) for pair in sorted(had)]
    if moves:
        await mongo.repliers.bulk_write(moves, ordered=False, session=session)
    engaged: Counter[int] = Counter()
    for pair, by in fresh.items():
        engaged[pair[0]] += begun(had.get(pair, 0), had.get(pair, 0) + by)
    return engaged

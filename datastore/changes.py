"""Changes: MongoDB's change stream read as events, in commit order, and the one reader's lease and watermark."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from datastore.events import PIPELINE, Event, event_of
from datastore.mongo import Doc, DuplicateKeyError, Mongo, OperationFailure, aggregated, watching

# What a resume token that fell off the oplog gives: ChangeStreamHistoryLost, ChangeStreamFatalError.
HISTORY_LOST = {286, 280}
# How long one look at an idle stream waits in the server.
AWAIT_MS = 500

Token = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """An event and the token that resumes right behind it; None where none does."""

    event: Event
    token: Token | None


class HistoryLostError(Exception):
    """The resume token is older than the oplog: what lies between is gone from the stream."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to relay. `fence` grows with every new holder: a write with an old one is refused."""

    fence: int
    token: Token | None
    start: Any


class Changes:
    """The stream of what happened, for one reader at a time.

    Who watches gives `streams`, a client that waits for long: the server answers when it has found something or has
    come to the end of the oplog, and there may be a large import in between. One that gave up would begin there again.
    """

    def __init__(self, mongo: Mongo, streams: Mongo | None = None) -> None:
        self.mongo = mongo
        self._streams = streams or mongo
        self._system = mongo.system

    async def prepare(self) -> None:
        """Fix where the first stream begins, before the first write is accepted; idempotent."""
        start = await self.mongo.cluster_time()
        for doc in (
            {"_id": "relay", "fence": 0, "start": start, "token": None, "until": None, "holder": None},
            # Above those of an earlier database, which this Redis may have heard.
            {"_id": "heartbeat", "beat": start.time * 1000},
        ):
            try:
                await self._system.insert_one(doc)
            except DuplicateKeyError:
                continue

    async def lease(self, holder: str, seconds: float) -> Lease | None:
        """Take or renew the lease by the server's clock; None while another holds it."""
        free = {"$or": [{"$eq": ["$holder", holder]}, {"$lt": [{"$ifNull": ["$until", 0]}, "$$NOW"]}]}
        fence = {"$add": ["$fence", {"$cond": [{"$eq": ["$holder", holder]}, 0, 1]}]}
        until = {"$add": ["$$NOW", int(seconds * 1000)]}
        doc = await self._system.find_one_and_update(
            {"_id": "relay", "$expr": free},
            [{"$set": {"fence": fence, "until": until, "renewed": "$$NOW"}}, {"$set": {"holder": holder}}],
            return_document=True,
        )
        return Lease(doc["fence"], doc["token"], doc["start"]) if doc else None

    async def release(self, holder: str) -> None:
        """Give the lease up early, so that a successor need not wait."""
        await self._system.update_one({"_id": "relay", "holder": holder}, {"$set": {"until": None, "holder": None}})

    async def leaderless_seconds(self) -> float:
        """How long ago a relay last took or renewed the lease, by the server's clock; infinite if none ever did."""
        age = {"$divide": [{"$subtract": ["$$NOW", "$renewed"]}, 1000]}
        found = await aggregated(self._system, [{"$match": {"_id": "relay"}}, {"$project": {"age": age}}])
        seconds = found[0].get("age") if found else None
        return float("inf") if seconds is None else float(seconds)

    async def store(self, token: Token, fence: int) -> bool:
        """Remember the watermark: everything up to it has been handled. `{"start": time}` begins a stream at that time
        of the cluster. False if a newer holder took over."""
        watermark = {"token": None, **token} if "start" in token else {"token": token}
        result = await self._system.update_one({"_id": "relay", "fence": fence}, {"$set": watermark})
        return bool(result.matched_count)

    async def present(self) -> Token:
        """The watermark of this moment: a stream from it tells of everything written later."""
        return {"start": await self.mongo.cluster_time()}

    async def beat(self) -> int:
        """Write a heartbeat: an event that passes through the whole pipeline behind everything written before it.

        Gives its number; they grow.
        """
        doc = await self._system.find_one_and_update(
            {"_id": "heartbeat"}, {"$inc": {"beat": 1}}, upsert=True, return_document=True
        )
        beat: int = doc["beat"]
        return beat

    @asynccontextmanager
    async def watch(self, lease: Lease) -> AsyncIterator["ChangeReader"]:
        """The stream behind the lease's watermark, or from its start. Raises HistoryLostError."""
        options: Doc = {"resume_after": lease.token} if lease.token else {"start_at_operation_time": lease.start}
        opening = watching(self._streams.db, PIPELINE, max_await_time_ms=AWAIT_MS, batch_size=1000, **options)
        try:
            async with opening as stream:
                yield ChangeReader(stream)
        except OperationFailure as error:
            if error.code in HISTORY_LOST:
                raise HistoryLostError(str(error)) from error
            raise


class ChangeReader:
    """An open change stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._idle_token: Token | None = None

    @property
    def idle_token(self) -> Token | None:
        """Resumes behind everything given and passed over so far; None unless the last look found nothing."""
        return self._idle_token

    async def next(self) -> Change | None:
        """The next change; None if none came within half a second. Commit order, each once per open stream. Raises
        HistoryLostError where the stream has ended: the database was dropped under it."""
        doc = await self._stream.try_next()
        if doc is None:
            # NOTE: a stream that has ended answers at once, without a turn for anybody else, and so for ever.
            if not self._stream.alive:
                raise HistoryLostError("the stream has ended")
            self._idle_token = self._stream.resume_token
            return None
        # NOTE: never the stream's own token here: its thread may be one document ahead of this coroutine.
        self._idle_token = None
        return Change(event_of(doc), doc["_id"])

"""MongoDB: the client and the collections. The only module that imports the driver."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from copy import copy
from functools import partial
from typing import Any, Self

import pymongo
from bson import Timestamp, decode_file_iter, encode
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import (
    AsyncMongoClient,
    IndexModel,
    InsertOne,
    ReadPreference,
    UpdateOne,
    WriteConcern,
    network_layer,
)
from pymongo.asynchronous import pool
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WriteError,
)
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from pymongo.read_preferences import SecondaryPreferred

from datastore import joined, tracing, wire
from datastore.calls import Collection, Doc, Session, aggregated, made, opened, watching
from datastore.deadlines import due_in, left_seconds
from datastore.indexes import INDEXES
from datastore.together import Answer, Asked, Reads
from datastore.writes import Driver, Outcomes, Shared

__all__ = [
    "AutoReconnect",
    "BulkWriteError",
    "Collection",
    "Doc",
    "DuplicateKeyError",
    "InsertOne",
    "Mongo",
    "OperationFailure",
    "PyMongoError",
    "Session",
    "Timestamp",
    "UpdateOne",
    "aggregated",
    "bson_documents",
    "bson_of",
    "is_outage",
    "late",
    "watching",
    "within",
]

# Motor, and what succeeds it: the same commands, from a thread of a pool or on the event loop itself.
DRIVERS: Mapping[str, Any] = {"motor": AsyncIOMotorClient, "pymongo": AsyncMongoClient}


# Every request wants to know; who has seen a primary need not look again for so long.
LOOK_SECONDS = 0.05
_DUPLICATE_KEY = 11000
# The least that MongoDB lets a client ask for.
MOST_LAG_SECONDS = 90


class Mongo:
    """One client and one database. Open and close it in app.py only.

    Writes wait for the majority and are retried once by the driver; reads ask the primary, so that a reader sees
    their own writes.
    """

    def __init__(
        self,
        url: str,
        database: str,
        deadline_ms: int = 10_000,
        driver: str = "motor",
        answer_ms: int | None = None,
        shared_seconds: float | None = None,
    ) -> None:
        self.client = _client(driver, url, deadline_ms, answer_ms or deadline_ms)
        # What a read that requests share may take.
        self._shared_seconds = shared_seconds or deadline_ms / 1000
        self._primary_seen = time.monotonic()
        self._open(database, ReadPreference.PRIMARY)

    def standby(self) -> Self:
        """The same database over the same client, read from whatever member is left; it may lag behind the truth."""
        other = copy(self)
        other._open(self.db.name, ReadPreference.SECONDARY_PREFERRED)
        return other

    def lagging(self) -> Self:
        """The same database over the same client, read from secondaries, which may lag behind the truth by seconds, and
        by no more than `MOST_LAG_SECONDS`. For what is nobody's in particular and goes into no copy."""
        other = copy(self)
        other._open(self.db.name, SecondaryPreferred(max_staleness=MOST_LAG_SECONDS))
        return other

    def without_primary_seconds(self) -> float:
        """How long nobody has been found who takes writes, as far as this client was asked; 0 while there is one."""
        now = time.monotonic()
        if now < self._primary_seen + LOOK_SECONDS:
            return 0
        topology: Any = self.client.topology_description
        if topology.has_writable_server():
            self._primary_seen = now
        return now - self._primary_seen

    def _open(self, database: str, reads: Any) -> None:
        self.db = self.client.get_database(database, write_concern=WriteConcern("majority"), read_preference=reads)
        limit = partial(within, self._shared_seconds)

        def shared(name: str) -> Shared:
            return Shared(self.db[name], _WRITES, limit)

        # What requests write to; anything else of these is the driver's as well.
        self.users = shared("users")
        self.tweets = shared("tweets")
        self.idempotency = shared("idempotency")
        self.follows = shared("follows")
        self.likes = shared("likes")
        self.retweets = shared("retweets")
        self.retweet_pairs = shared("retweet_pairs")
        self.sessions = self.db["sessions"]
        self.blocks = self.db["blocks"]
        self.names = self.db["names"]
        self.emails = self.db["emails"]
        self.import_keys = self.db["import_keys"]
        self.repliers = self.db["repliers"]
        self.trails = self.db["trails"]
        self.system = self.db["system"]
        self._reads = Reads(limit)

    async def ask(self, asked: Sequence[Asked[Any]]) -> list[list[Doc]]:
        """The documents of each, in order; see `datastore.together.together`."""
        return await self.answer(self.begin(asked))

    def begin(self, asked: Sequence[Asked[Any]]) -> Answer:
        """Have them asked; see `datastore.together.Begun`."""
        return self._reads.ask(asked)

    async def answer(self, begun: Answer) -> list[list[Doc]]:
        """What has been asked, in the time that the request has left."""
        try:
            found = await joined.within(begun, left_seconds())
        except TimeoutError:
            raise late() from None
        assert found is not None  # noqa: S101  every question is answered
        return found

    async def ensure_indexes(self) -> None:
        """Create what is missing; idempotent. An index of another shape under the same keys is an error.

        One round trip for each collection.
        """
        for collection, indexes in INDEXES.items():
            if indexes:
                await self.db[collection].create_indexes([IndexModel(keys, **options) for keys, options in indexes])

    async def ping(self) -> None:
        """Raises if no primary answers."""
        await self.db.command("ping")

    async def cluster_time(self) -> Timestamp:
        """The cluster's logical clock now: a change stream started there sees every later write."""
        answer: Doc = await self.db.command("ping")
        at: Timestamp = answer["operationTime"]
        return at

    def session(self, **options: Any) -> AbstractAsyncContextManager[Session]:
        """A session, for transactions or for a snapshot, ended with the block."""
        return opened(self.client.start_session(**options))

    async def close(self) -> None:
        closing: Any = self.client.close
        await made(closing())


def _client(driver: str, url: str, deadline_ms: int, answer_ms: int) -> AsyncIOMotorClient[Doc]:
    """Typed as Motor's, whichever it is. A server is found within one time and answers within the other."""
    client: Any = DRIVERS[driver](
        url,
        retryWrites=True,
        retryReads=True,
        tz_aware=True,
        serverSelectionTimeoutMS=deadline_ms,
        connectTimeoutMS=2_000,
        socketTimeoutMS=answer_ms,
        maxPoolSize=100,
        event_listeners=[_Commands()] if tracing.is_on() else [],
    )
    return client  # type: ignore[no-any-return]


def late() -> NetworkTimeout:
    """What a request is told whose time is over while it waits for others: an outage (`is_outage`)."""
    return NetworkTimeout("MongoDB did not answer in time")


async def _insert(collection: Collection, docs: Sequence[Doc]) -> Outcomes:
    """See `Driver`. One alone is sent as one: it costs the driver half."""
    if len(docs) == 1:
        await collection.insert_one(docs[0])
        return (None,)
    return await _each(collection.insert_many(docs, ordered=False), len(docs))


async def _move(collection: Collection, moves: Sequence[tuple[Doc, Any]]) -> Outcomes:
    """See `Driver`."""
    if len(moves) == 1:
        await collection.update_one(*moves[0])
        return (None,)
    return await _each(collection.bulk_write([UpdateOne(*move) for move in moves], ordered=False), len(moves))


async def _each(writing: Awaitable[Any], count: int) -> Outcomes:
    """What came of each of so many writes that are sent as one command, in no order."""
    try:
        await writing
    except BulkWriteError as error:
        # That the majority did not confirm it in time, say, is told to all who were not refused themselves.
        outcomes: list[Exception | None] = [error if error.details["writeConcernErrors"] else None] * count
        for one in error.details["writeErrors"]:
            kind = DuplicateKeyError if one["code"] == _DUPLICATE_KEY else WriteError
            outcomes[one["index"]] = kind(one["errmsg"], one["code"], one)
        return outcomes
    return (None,) * count


_WRITES = Driver(_insert, _move, late)


class _Commands(CommandListener):
    """Has each command traced that belongs to a trace: its name and its collection."""

    def __init__(self) -> None:
        self._open: dict[int, Callable[[str], None]] = {}

    def started(self, event: CommandStartedEvent) -> None:
        if end := tracing.command("mongodb", event.command_name, event.command.get(event.command_name)):
            self._open[event.request_id] = end

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self._end(event.request_id, "")

    def failed(self, event: CommandFailedEvent) -> None:
        self._end(event.request_id, str(event.failure.get("codeName", "failure")))

    def _end(self, request_id: int, error: str) -> None:
        if end := self._open.pop(request_id, None):
            end(error)


# PyMongo waits for each reply by two tasks, two waits for these and three timers, and for each command to be sent by a
# `wait_for`, which on Python 3.11 loses a cancellation that comes together with its end (cpython 86296).
vars(pool).update(async_sendall=wire.send, async_receive_message=wire.receiver(network_layer))


def bson_of(doc: Doc) -> bytes:
    """A document as MongoDB stores it."""
    return encode(doc)


def bson_documents(file: Any) -> Iterator[Doc]:
    """The documents of a file of them, in order. Raises ValueError where it is cut short or holds anything else."""
    try:
        yield from decode_file_iter(file, CodecOptions(tz_aware=True))
    except BSONError as error:
        raise ValueError(str(error)) from error


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Everything that this task asks of MongoDB ends in so many seconds: the driver chooses a server, retries and waits
    that long in all, and tells the server. What is begun later fails at once (`is_outage`)."""
    with due_in(seconds), pymongo.timeout(seconds):
        yield


def is_outage(error: BaseException | None) -> bool:
    """Whether it says that MongoDB could not be asked or did not answer in time, and not that it refused: what passes
    by itself. A write may have happened."""
    if not isinstance(error, PyMongoError):
        return False
    # What the driver has retried until there was no time left keeps its label.
    return isinstance(error, AutoReconnect) or error.timeout or error.has_error_label("RetryableWriteError")

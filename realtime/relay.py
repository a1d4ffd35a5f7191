"""Relay: MongoDB's change stream into Redis streams, ids only. One leader at a time; at least once; loses nothing.

The watermark in MongoDB moves only past events that a worker has acknowledged, so whatever Redis forgets is relayed
again: after a flush, a restart, a fail-over, or the death of this process at any line.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from redis.exceptions import ResponseError

from datastore.changes import Change, ChangeReader, Changes, HistoryLostError, Lease, Token
from datastore.events import ENTRY_MADE, Event, EventName
from datastore.mongo import PyMongoError
from datastore.rescan import Rescan, rescan, since_ms
from datastore.trails import Trails
from realtime import keys, telemetry
from realtime.connect import Client, RedisError
from realtime.primaries import Primaries
from realtime.scripts import Arg, Scripts, fresh_token

log = structlog.get_logger()

# Beyond so many unacknowledged entries the relay stops reading: the oplog is the buffer.
WAITING_LIMIT = 100_000
APPEND_BATCH = 500


@dataclass(frozen=True, slots=True)
class Waits:
    """How long the pipeline waits for what, in seconds. Tests and the fault suite use short ones."""

    lease: float = 5.0
    watermark: float = 0.5
    retry: float = 0.2
    claim_block: float = 0.5


class _RewindError(Exception):
    """Redis is not what the relay filled: begin again at the watermark."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An appended event that may not be handled yet. `marks` are its stream ids by partition."""

    marks: tuple[tuple[int, str], ...]
    token: Token | None


class Relay:
    """Runs for ever, as leader or waiting to be one."""

    def __init__(
        self,
        changes: Changes,
        redis: Client,
        partitions: int,
        waits: Waits,
        forget_live: Callable[[], Awaitable[None]],
    ) -> None:
        self._changes = changes
        self._trails = Trails(changes.mongo)
        self._redis = redis
        self._scripts = Scripts(redis)
        self._primaries = Primaries(redis)
        self._partitions = partitions
        self._waits = waits
        self._forget_live = forget_live
        self._name = fresh_token()
        self._waiting: deque[_Waiting] = deque()
        self._unappended = 0
        self._mark = ""
        self._run_id = ""
        self._stored: Token | None = None

    async def run(self) -> None:
        """Relay until cancelled. Every fault ends one term and begins another at the watermark."""
        while True:
            try:
                lease = await self._changes.lease(self._name, self._waits.lease)
                if lease:
                    await self._term(lease)
            except _RewindError as error:
                log.warning("relay.rewind", reason=str(error))
            except (PyMongoError, RedisError) as error:
                log.warning("relay.interrupted", error=type(error).__name__, detail=str(error)[:200])
            await asyncio.sleep(self._waits.retry)

    async def close(self) -> None:
        """Give the lease up, so that a successor need not wait."""
        await self._changes.release(self._name)

    async def _term(self, lease: Lease) -> None:
        """One term as leader, from the stored watermark on."""
        self._waiting.clear()
        self._stored = lease.token
        await self._claim_redis()
        log.info("relay.leading", fence=lease.fence, resumed=lease.token is not None)
        try:
            async with self._changes.watch(lease) as reader:
                await self._pump(lease, reader)
        except HistoryLostError:
            await self._rescan(lease)

    async def _rescan(self, lease: Lease) -> None:
        """What happened in between is only in the documents now: relay it from there, then begin at the present. Open
        subscriptions resync, since what was deleted in between says nothing any more."""
        log.error("relay.history_lost", action="rescan by id", since_ms=since_ms(lease))
        found = await rescan(self._changes, lease)
        await self._forget_live()
        await self._pump(lease, found)

    async def _claim_redis(self) -> None:
        """Make the groups, and leave a mark that vanishes with the data."""
        for partition in range(self._partitions):
            await ensure_group(self._redis, keys.events(partition))
        self._mark = fresh_token()
        self._run_id = await self._redis_run_id()
        await self._redis.set(keys.RELAY_MARK, self._mark)

    async def _pump(self, lease: Lease, reader: ChangeReader | Rescan) -> None:
        """Read, append and keep the accounts, each at its own pace, until one of them fails."""
        queue: asyncio.Queue[Change] = asyncio.Queue(maxsize=2 * APPEND_BATCH)
        self._unappended = 0
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(reader, queue))
                tasks.create_task(self._append(queue))
                tasks.create_task(self._keep_accounts(lease, reader))
                tasks.create_task(self._primaries.keep(self._waits.watermark))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _read(self, reader: ChangeReader | Rescan, queue: asyncio.Queue[Change]) -> None:
        while True:
            change = await reader.next()
            if change:
                self._unappended += 1
                await queue.put(change)

    async def _append(self, queue: asyncio.Queue[Change]) -> None:
        while True:
            batch = [await queue.get()]
            while len(batch) < APPEND_BATCH and not queue.empty():
                batch.append(queue.get_nowait())
            while len(self._waiting) >= WAITING_LIMIT:
                await asyncio.sleep(self._waits.watermark)
            async with self._trails.stage(dict.fromkeys(_made(batch), "relay")):
                await self._append_batch(batch)

    async def _append_batch(self, batch: Sequence[Change]) -> None:
        """One round trip: all events in order, or none if Redis forgot what it was filled with."""
        args: list[Arg] = []
        for change in batch:
            for partition in self._partitions_of(change.event):
                args += [partition, *encode(change.event).values()]
        streams = [keys.events(partition) for partition in range(self._partitions)]
        stream_ids = await self._scripts.run("append", [keys.RELAY_MARK, *streams], self._mark, *args)
        if stream_ids is None:
            raise _RewindError("the mark is gone")
        left = iter(stream_ids)
        for change in batch:
            marks = tuple((partition, next(left)) for partition in self._partitions_of(change.event))
            self._waiting.append(_Waiting(marks, change.token))
        self._unappended -= len(batch)
        telemetry.note_ages(telemetry.ENTRIES_RELAYED, _made(batch))

    def _partitions_of(self, event: Event) -> Sequence[int]:
        if event.name is EventName.HEARTBEAT:
            return range(self._partitions)
        return (event.bucket % self._partitions,)

    async def _keep_accounts(self, lease: Lease, reader: ChangeReader | Rescan) -> None:
        """Renew the lease, look whether Redis is still the same, move the watermark, trim what is handled."""
        while True:
            await asyncio.sleep(self._waits.watermark)
            renewed = await self._changes.lease(self._name, self._waits.lease)
            if renewed is None or renewed.fence != lease.fence:
                raise _RewindError("another relay leads")
            if await self._redis.get(keys.RELAY_MARK) != self._mark or await self._redis_run_id() != self._run_id:
                raise _RewindError("Redis was flushed or replaced")
            # An idle token may be stored only if all that came before it is handled, not merely read.
            idle_token = None if self._unappended or self._waiting else reader.idle_token
            await self._move_watermark(lease, await self._frontier(), idle_token)

    async def _redis_run_id(self) -> str:
        return str((await self._redis.info("server"))["run_id"])

    async def _frontier(self) -> list[tuple[int, int]]:
        """For each partition the stream id up to which everything is acknowledged; trims the stream to it."""
        frontier = []
        for partition in range(self._partitions):
            stream = keys.events(partition)
            try:
                # NOTE: in this order. What is delivered between the two answers is pending then; the other way round
                # it would pass for acknowledged.
                groups = await self._redis.xinfo_groups(stream)
                pending = await self._redis.xpending(stream, keys.GROUP)
            except ResponseError as error:
                raise _RewindError("a group is gone") from error
            if pending["pending"]:
                milliseconds, sequence = _stream_id(pending["min"])
                acknowledged = (milliseconds, sequence - 1)
            else:
                acknowledged = _stream_id(groups[0]["last-delivered-id"])
            frontier.append(acknowledged)
            # Exactly, and with the last one: ids of people must not stay behind in a stream that has gone quiet.
            await self._redis.xtrim(stream, minid=f"{acknowledged[0]}-{acknowledged[1] + 1}", approximate=False)
        return frontier

    async def _move_watermark(self, lease: Lease, frontier: list[tuple[int, int]], idle_token: Token | None) -> None:
        token = idle_token
        while self._waiting and all(_stream_id(mark) <= frontier[p] for p, mark in self._waiting[0].marks):
            token = self._waiting.popleft().token or token
        if token and token != self._stored:
            if not await self._changes.store(token, lease.fence):
                raise _RewindError("another relay leads")
            self._stored = token
            if "start" in token:
                log.info("relay.rescanned")
                raise _RewindError("what was rescanned is handled")


def _made(batch: Sequence[Change]) -> list[int]:
    return [change.event.subject_id for change in batch if change.event.name in ENTRY_MADE]


async def ensure_group(redis: Client, stream: str) -> None:
    """Create the stream and its group at its beginning; idempotent."""
    try:
        await redis.xgroup_create(stream, keys.GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


async def raise_event(redis: Client, partitions: int, event: Event) -> None:
    """Put an event on the queue behind what is there: for handlers, never for requests."""
    fields: dict[Any, Any] = {**encode(event)}
    await redis.xadd(keys.events(event.bucket % partitions), fields)


def encode(event: Event) -> dict[str, Arg]:
    """An event as the fields of a stream entry, in the order that lua/append.lua takes them.

    `at` is when it was relayed, in milliseconds, for the lag.
    """
    now_ms = time.time_ns() // 1_000_000
    return {"e": event.name, "b": event.bucket, "s": event.subject_id, "o": event.other_id, "at": now_ms}


def decode(fields: dict[str, str]) -> Event:
    """The event of a stream entry. Raises KeyError or ValueError on junk."""
    return Event(EventName(fields["e"]), int(fields["b"]), int(fields["s"]), int(fields["o"]))


def _stream_id(text: str) -> tuple[int, int]:
    milliseconds, _, sequence = text.partition("-")
    return int(milliseconds), int(sequence or 0)

"""Worker: reads its share of the event partitions and runs the handlers, in batches, in order, at least once.

One worker at a time reads a partition, so one author's events keep their order. A batch is acknowledged after all its
writes; whatever dies before that is claimed and handled again by the next holder.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from datastore.changes import Event, EventName
from datastore.mongo import is_outage
from realtime import keys, telemetry
from realtime.connect import Client, RedisConnectionError, RedisError
from realtime.handlers import HANDLERS, Rooms
from realtime.relay import Waits, decode, ensure_group
from realtime.scripts import Scripts, fresh_token

log = structlog.get_logger()

EVENTS_PER_BATCH = 100
# An event that failed so often is set aside, so that those behind it move on.
DELIVERIES = 5
DEAD_LETTERS_KEPT = 10_000
# Beside MongoDB being away: what passes by itself. The batch is tried again until it does.
_REDIS_AWAY = (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError)


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One stream entry."""

    partition: int
    entry_id: str
    fields: dict[str, str]


class Worker:
    """Runs for ever. `redis` waits on reads; `rooms` brings its own clients."""

    def __init__(self, redis: Client, rooms: Rooms, partitions: int, waits: Waits) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._rooms = rooms
        self._partitions = partitions
        self._waits = waits
        self._name = fresh_token()
        self._held: set[int] = set()

    async def run(self) -> None:
        """Handle events until cancelled; a batch under way is then left to the next holder."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_share())
            tasks.create_task(self._work())

    async def close(self) -> None:
        """Give the share back at once, so that the others need not wait for the leases."""
        for name in map(keys.lease, self._held):
            if await self._redis.get(name) == self._name:
                await self._redis.delete(name)
        await self._redis.zrem(keys.WORKERS, self._name)

    async def _keep_share(self) -> None:
        """Renew the leases well before they end; a failed renewal gives them up."""
        while True:
            try:
                leases = [keys.lease(partition) for partition in range(self._partitions)]
                lease_ms = int(self._waits.lease * 1000)
                self._held = set(await self._scripts.run("hold", [keys.WORKERS, *leases], self._name, lease_ms))
            except RedisError as error:
                self._held = set()
                log.warning("worker.share_lost", error=type(error).__name__)
            await asyncio.sleep(self._waits.lease / 4)

    async def _work(self) -> None:
        claimed: set[int] = set()
        while True:
            try:
                claimed &= self._held
                for partition in self._held - claimed:
                    await self._claim(partition)
                    claimed.add(partition)
                await self._handle(await self._read(sorted(claimed)))
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                # A flush: the relay sees its mark gone and begins again at the watermark.
                for partition in claimed:
                    await ensure_group(self._redis, keys.events(partition))
            except Exception as error:
                if not _passes(error):
                    raise
                log.warning("worker.interrupted", error=type(error).__name__)
                await asyncio.sleep(self._waits.retry)

    async def _read(self, partitions: Sequence[int]) -> list[_Delivery]:
        if not partitions:
            await asyncio.sleep(self._waits.retry)
            return []
        streams: dict[Any, Any] = {keys.events(partition): ">" for partition in partitions}
        block_ms = int(self._waits.claim_block * 1000)
        found: Any = await self._redis.xreadgroup(
            keys.GROUP, self._name, streams, count=EVENTS_PER_BATCH, block=block_ms
        )
        return [_delivery(stream, entry) for stream, entries in found or [] for entry in entries]

    async def _claim(self, partition: int) -> None:
        """Handle what earlier holders took and did not acknowledge, oldest first."""
        stream = keys.events(partition)
        await ensure_group(self._redis, stream)
        start = "0-0"
        while True:
            answer: Any = await self._redis.xautoclaim(stream, keys.GROUP, self._name, 0, start, count=EVENTS_PER_BATCH)
            start, entries = answer[0], answer[1]
            deliveries = [_delivery(stream, entry) for entry in entries if entry[1]]
            if deliveries:
                log.info("worker.claimed", partition=partition, events=len(deliveries))
                await self._bury_killers(stream, deliveries)
                await self._handle(deliveries)
            if start == "0-0":
                return

    async def _bury_killers(self, stream: str, deliveries: list[_Delivery]) -> None:
        """Set aside events whose every delivery ended a worker."""
        pending: Any = await self._redis.xpending_range(stream, keys.GROUP, "-", "+", len(deliveries), self._name)
        killers = {row["message_id"] for row in pending if row["times_delivered"] > DELIVERIES}
        for delivery in [one for one in deliveries if one.entry_id in killers]:
            await self._bury(delivery, "its handler did not survive")
            deliveries.remove(delivery)

    async def _handle(self, deliveries: list[_Delivery]) -> None:
        """Run the handlers, write, acknowledge: together if nothing fails, else one by one."""
        if not deliveries:
            return
        while True:
            try:
                await self._run(deliveries)
                break
            except Exception as error:
                self._rooms.fanout.forget()
                if _passes(error):
                    log.warning("worker.waiting", error=type(error).__name__)
                    await asyncio.sleep(self._waits.retry)
                    continue
                # One of them is poison: find it.
                for delivery in deliveries:
                    await self._handle_alone(delivery)
                break
        await self._acknowledge(deliveries)

    async def _handle_alone(self, delivery: _Delivery) -> None:
        attempt = 0
        while True:
            try:
                await self._run([delivery])
                return
            except Exception as error:
                self._rooms.fanout.forget()
                if _passes(error):
                    await asyncio.sleep(self._waits.retry)
                    continue
                attempt += 1
                log.exception("worker.event_failed", event_fields=delivery.fields, attempt=attempt)
                if attempt == DELIVERIES:
                    await self._bury(delivery, f"{type(error).__name__}: {error}"[:500])
                    return
                await asyncio.sleep(self._waits.retry)

    async def _run(self, deliveries: Sequence[_Delivery]) -> None:
        """The authors' events side by side, each author's in their order: as in partitions of their own. Nothing runs
        on behind a failure."""
        events = [decode(delivery.fields) for delivery in deliveries]
        by_bucket: dict[int, list[Event]] = {}
        for event in events:
            by_bucket.setdefault(event.bucket, []).append(event)
        try:
            async with asyncio.TaskGroup() as tasks:
                for group in by_bucket.values():
                    tasks.create_task(self._run_in_order(group))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        # Copies first: what is told next must not be read from an old one.
        await self._rooms.cache.flush()
        telemetry.PAIRS_WRITTEN.inc(await self._rooms.fanout.flush())
        await self._rooms.top_tweets.flush()
        await self._rooms.topics.flush()

    async def _run_in_order(self, events: Sequence[Event]) -> None:
        for event in events:
            await HANDLERS[event.name](self._rooms, event)

    async def _acknowledge(self, deliveries: Sequence[_Delivery]) -> None:
        """One pipeline. A heartbeat is written down after all that came before it in its partition."""
        now_ms = time.time_ns() // 1_000_000
        async with self._redis.pipeline(transaction=False) as pipe:
            for delivery in deliveries:
                pipe.xack(keys.events(delivery.partition), keys.GROUP, delivery.entry_id)
                if delivery.fields.get("e") == EventName.HEARTBEAT:
                    pipe.hset(keys.HEARTBEATS, str(delivery.partition), delivery.fields["s"])
                telemetry.EVENTS_HANDLED.labels(delivery.fields.get("e", "junk")).inc()
            await pipe.execute()
        telemetry.EVENT_LAG.set(max(now_ms - int(deliveries[0].fields.get("at", now_ms)), 0) / 1000)

    async def _bury(self, delivery: _Delivery, reason: str) -> None:
        """Move an event to the dead letters; the group goes on."""
        fields: dict[Any, Any] = {**delivery.fields, "why": reason, "from": keys.events(delivery.partition)}
        await self._redis.xadd(keys.DEAD_LETTERS, fields, maxlen=DEAD_LETTERS_KEPT)
        await self._redis.xack(keys.events(delivery.partition), keys.GROUP, delivery.entry_id)
        telemetry.DEAD_LETTERS.inc()
        log.error("worker.dead_letter", event_fields=delivery.fields, reason=reason)


def _passes(error: Exception) -> bool:
    return isinstance(error, _REDIS_AWAY) or is_outage(error)


def _delivery(stream: str, entry: tuple[str, dict[str, str]]) -> _Delivery:
    return _Delivery(int(stream.rpartition(":")[2]), entry[0], entry[1])


def handled_beats(beats: Mapping[Any, Any], partitions: int) -> int:
    """The heartbeat that every partition has handled, 0 if one has none yet."""
    return min(int(beats.get(str(partition), 0)) for partition in range(partitions))

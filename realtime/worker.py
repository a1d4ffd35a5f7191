"""Worker: reads its share of the event partitions and runs the handlers, in batches, in order, at least once.

One worker at a time reads a partition, so one author's events keep their order. A batch is acknowledged after all its
writes; whatever dies before that is claimed and handled again by the next holder. Authors with many readers leave the
batch for a lane of their own, so that nobody else waits for them.
"""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

import structlog
from redis.exceptions import ResponseError

from datastore import ids
from datastore.events import ENTRY_MADE, Event, EventName
from realtime import keys, telemetry
from realtime.connect import Client, RedisError, passes_by_itself
from realtime.handlers import HANDLERS, Rooms, TooManyError
from realtime.lanes import Delivery, Lanes, delivery
from realtime.relay import Waits, decode, ensure_group
from realtime.scripts import Scripts, fresh_token

log = structlog.get_logger()
T = TypeVar("T")

EVENTS_PER_BATCH = 100
# An event that failed so often is set aside, so that those behind it move on.
DELIVERIES = 5
# What its count of deliveries is set to while an event is handled with nothing beside it.
ALONE = 1000
DEAD_LETTERS_KEPT = 10_000


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
        self._lanes = Lanes(self._handle_in_lane)
        # The units of all lanes go one by one, in the order in which they came to wait.
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Handle events until cancelled; a batch under way is then left to the next holder."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
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
                for partition in claimed - self._held:
                    self._lanes.leave(partition)
                claimed &= self._held
                await self._lanes.room()
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
                if not passes_by_itself(error):
                    raise
                log.warning("worker.interrupted", error=type(error).__name__)
                # What was handled and could not be acknowledged is found again.
                claimed.clear()
                await asyncio.sleep(self._waits.retry)

    async def _read(self, partitions: Sequence[int]) -> list[Delivery]:
        if not partitions:
            await asyncio.sleep(self._waits.retry)
            return []
        streams: dict[Any, Any] = {keys.events(partition): ">" for partition in partitions}
        block_ms = int(self._waits.claim_block * 1000)
        found: Any = await self._redis.xreadgroup(
            keys.GROUP, self._name, streams, count=EVENTS_PER_BATCH, block=block_ms
        )
        # As they arrived, whatever their partitions: entries that come in order are cheaper to push.
        return sorted((delivery(stream, entry) for stream, entries in found or [] for entry in entries), key=_arrival)

    async def _claim(self, partition: int) -> None:
        """Handle what earlier holders took and did not acknowledge, oldest first."""
        stream = keys.events(partition)
        await ensure_group(self._redis, stream)
        start = "0-0"
        while True:
            answer: Any = await self._redis.xautoclaim(stream, keys.GROUP, self._name, 0, start, count=EVENTS_PER_BATCH)
            start, entries = answer[0], answer[1]
            deliveries = [delivery(stream, entry) for entry in entries if entry[1]]
            if deliveries:
                log.info("worker.claimed", partition=partition, events=len(deliveries))
                await self._handle_claimed(stream, deliveries)
            if start == "0-0":
                return

    async def _handle_claimed(self, stream: str, deliveries: list[Delivery]) -> None:
        """Together, unless workers have ended with them again and again: then one by one, each with a mark, so that the
        one that ends them is told from those that were beside it, and set aside."""
        pending: Any = await self._redis.xpending_range(stream, keys.GROUP, "-", "+", len(deliveries), self._name)
        times = {row["message_id"]: row["times_delivered"] for row in pending}
        if max(times.values(), default=0) < DELIVERIES:
            return await self._handle(deliveries)
        for one in deliveries:
            if times.get(one.entry_id, 0) > ALONE:
                await self._bury(one, "its handler did not survive")
                continue
            await self._redis.xclaim(stream, keys.GROUP, self._name, 0, [one.entry_id], retrycount=ALONE)
            await self._handle([one])
            await self._lanes.passed(one.partition)

    async def _handle(self, deliveries: Sequence[Delivery]) -> None:
        """Run the handlers, write, acknowledge: together if nothing fails, else one by one."""
        while here := [one for one in deliveries if not self._in_lane(one)]:
            try:
                done = await self._run(here, self._rooms)
            except Exception as error:
                self._rooms.fanout.forget()
                if passes_by_itself(error):
                    log.warning("worker.waiting", error=type(error).__name__)
                    await asyncio.sleep(self._waits.retry)
                    continue
                # One of them is poison: find it.
                done = [one for one in here if not self._in_lane(one) and await self._handle_alone(one, self._rooms)]
            for beat in [one for one in done if _is_beat(one) and not self._lanes.is_idle(one.partition)]:
                self._tasks.create_task(self._beat_behind_lanes(beat))
                done.remove(beat)
            if done:
                await self._acknowledge(done)
            return

    def _in_lane(self, one: Delivery) -> bool:
        """Whether it has to wait behind others of its author, and then does."""
        waits = self._lanes.has(one.lane)
        if waits:
            self._lanes.take(one, self._tasks)
        return waits

    async def _handle_in_lane(self, one: Delivery) -> None:
        if await self._handle_alone(one, self._rooms.apart(self._turn)):
            await self._acknowledge_surely(one)

    async def _handle_alone(self, one: Delivery, rooms: Rooms) -> bool:
        """Whether it was handled, or set aside in the end; False if it went into a lane."""
        attempt = 0
        while True:
            try:
                return bool(await self._run([one], rooms))
            except Exception as error:
                rooms.fanout.forget()
                if passes_by_itself(error):
                    await asyncio.sleep(self._waits.retry)
                    continue
                attempt += 1
                log.exception("worker.event_failed", event_fields=one.fields, attempt=attempt)
                if attempt == DELIVERIES:
                    await self._bury(one, f"{type(error).__name__}: {error}"[:500])
                    return True
                await asyncio.sleep(self._waits.retry)

    async def _run(self, deliveries: Sequence[Delivery], rooms: Rooms) -> list[Delivery]:
        """Run events whose requests were traced within the same traces, and the others."""
        names = {int(one.fields.get("s", 0)): f"event {one.fields.get('e')}" for one in deliveries if _is_entry(one)}
        async with rooms.trails.stage(names):
            return await self._run_all(deliveries, rooms)

    async def _run_all(self, deliveries: Sequence[Delivery], rooms: Rooms) -> list[Delivery]:
        """The authors' events side by side, each author's in their order: as in partitions of their own. Nothing runs
        on behind a failure. Gives those that were handled; the others have gone into lanes."""
        by_bucket: dict[int, list[tuple[Delivery, Event]]] = {}
        made: list[int] = []
        for one in deliveries:
            event = decode(one.fields)
            by_bucket.setdefault(event.bucket, []).append((one, event))
            if event.name in ENTRY_MADE:
                made.append(event.subject_id)
        telemetry.note_ages(telemetry.ENTRIES_TAKEN, made)
        runs = await _side_by_side(self._run_in_order(group, rooms) for group in by_bucket.values())
        # Copies first: what is told next must not be read from an old one.
        await rooms.cache.flush()
        await _side_by_side([rooms.fanout.flush(), rooms.top_tweets.flush(), rooms.topics.flush()])
        handled = {one.entry_id for run in runs for one in run}
        return [one for one in deliveries if one.entry_id in handled]

    async def _run_in_order(self, events: Sequence[tuple[Delivery, Event]], rooms: Rooms) -> list[Delivery]:
        for at, (_, event) in enumerate(events):
            try:
                await HANDLERS[event.name](rooms, event)
            except TooManyError:
                for later, _ in events[at:]:
                    self._lanes.take(later, self._tasks)
                return [one for one, _ in events[:at]]
        return [one for one, _ in events]

    async def _acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """One pipeline. A heartbeat is written down after all that came before it in its partition."""
        now_ms = time.time_ns() // 1_000_000
        async with self._redis.pipeline(transaction=False) as pipe:
            for one in deliveries:
                pipe.xack(keys.events(one.partition), keys.GROUP, one.entry_id)
                if _is_beat(one):
                    # One that waited behind lanes, or was handled again, may come late: it takes nothing back.
                    pipe.zadd(keys.HEARTBEATS, {str(one.partition): int(one.fields["s"])}, gt=True)
                telemetry.EVENTS_HANDLED.labels(one.fields.get("e", "junk")).inc()
                if _is_entry(one):
                    telemetry.FANOUT_LAG.observe(max(now_ms - ids.at_ms(int(one.fields["s"])), 0) / 1000)
            await pipe.execute()
        telemetry.EVENT_LAG.set(max(now_ms - int(deliveries[0].fields.get("at", now_ms)), 0) / 1000)

    async def _acknowledge_surely(self, one: Delivery) -> None:
        while True:
            try:
                return await self._acknowledge([one])
            except Exception as error:
                if not passes_by_itself(error):
                    raise
                await asyncio.sleep(self._waits.retry)

    async def _beat_behind_lanes(self, beat: Delivery) -> None:
        if await self._lanes.passed(beat.partition):
            await self._acknowledge_surely(beat)

    async def _bury(self, letter: Delivery, reason: str) -> None:
        """Move an event to the dead letters; the group goes on."""
        fields: dict[Any, Any] = {**letter.fields, "why": reason, "from": keys.events(letter.partition)}
        await self._redis.xadd(keys.DEAD_LETTERS, fields, maxlen=DEAD_LETTERS_KEPT)
        await self._redis.xack(keys.events(letter.partition), keys.GROUP, letter.entry_id)
        telemetry.DEAD_LETTERS.inc()
        log.error("worker.dead_letter", event_fields=letter.fields, reason=reason)


async def _side_by_side(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What they give, in order. Raises the first failure, and behind it nothing runs on."""
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(call) for call in calls]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in running]


def _arrival(one: Delivery) -> tuple[int, ...]:
    """When it came into its stream."""
    return tuple(map(int, one.entry_id.split("-")))


def _is_beat(one: Delivery) -> bool:
    return one.fields.get("e") == EventName.HEARTBEAT


def _is_entry(one: Delivery) -> bool:
    return one.fields.get("e") in ENTRY_MADE


async def handled_beat(redis: Client, partitions: int) -> int:
    """The heartbeat that every partition has handled, 0 if one has none yet. One round trip."""
    found: Any = await redis.zrange(keys.HEARTBEATS, 0, -1, withscores=True)
    beats = dict(found)
    return min(int(beats.get(str(partition), 0)) for partition in range(partitions))

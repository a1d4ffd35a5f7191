"""Hub: one pub/sub connection a process, and the readers behind it. Pub/sub is only the fast path: the reader's own
stream is the data, so a lost message is read on, and what cannot be read on is announced.

Guarantee: a reader gets exactly the numbered events behind their position, in order, each once, or a resync in their
place. Never a silent hole, never a repeat.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import structlog

from datastore.records import ResyncReason
from realtime import keys, telemetry
from realtime.connect import Client, RedisError
from realtime.scripts import Scripts, fresh_token
from realtime.timelines import Timelines

log = structlog.get_logger()

# Pushed events wait here while the reader is busy; a reader further behind reads on from the stream when drained.
QUEUE_LIMIT = 64
# Readers looked after in one pipeline of the sweep.
SWEEP_BATCH = 500


@dataclass(frozen=True, slots=True)
class Numbered:
    """One event of a reader's stream. kind '+': `entry_id` joined; '-': it left, it showed `tweet_id`; 's': resync."""

    token: str
    kind: str
    entry_id: int = 0
    tweet_id: int = 0
    reason: ResyncReason = ResyncReason.STATE_LOST


@dataclass(slots=True, eq=False)
class Reader:
    """One open subscription. `position` is the token of the last event handed out, `tail` of the last one queued."""

    reader_id: int
    hub: "Hub"
    position: str = ""
    tail: str = ""
    stale: bool = False
    overflowed: bool = False
    queue: deque[Numbered] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, previous: str, token: str, payload: str) -> None:
        """A pub/sub message: the next in the chain is queued, anything else makes the reader read on."""
        if previous == self.tail and len(self.queue) < QUEUE_LIMIT:
            self.queue.append(parse(token, payload))
            self.tail = token
        elif token != self.tail:
            self.overflowed = self.overflowed or len(self.queue) >= QUEUE_LIMIT
            self.stale = True
        self.wake.set()

    def doubt(self) -> None:
        """Something may have been missed: read on."""
        self.stale = True
        self.wake.set()

    async def events(self, after: str | None) -> AsyncIterator[Numbered]:
        """Everything behind `after`, then everything new, for ever. None: from now on. Empty: the page had no
        position, so a resync comes first."""
        self.position = self.tail = after or await self.hub.fresh_position(self.reader_id)
        if after == "":
            yield Numbered(self.position, "s", reason=ResyncReason.STATE_LOST)
        # The start is a reconnect: the stream is read before pub/sub counts.
        self.doubt()
        while True:
            while self.queue:
                event = self.queue.popleft()
                self.position = event.token
                yield event
            if self.stale:
                await self._read_on()
            else:
                self.wake.clear()
                await self.wake.wait()

    async def _read_on(self) -> None:
        """Queue what the stream holds behind the position, or a resync where the chain is broken."""
        self.stale = False
        telemetry.LIVE_READ_ON.inc()
        try:
            missed, last = await self.hub.missed(self.reader_id, self.position)
        except RedisError:
            await asyncio.sleep(self.hub.sweep_seconds)
            self.stale = True
            return
        if missed is None:
            last = last or await self.hub.fresh_position(self.reader_id)
            reason = ResyncReason.SLOW_CONSUMER if self.overflowed else ResyncReason.STATE_LOST
            missed = [Numbered(last, "s", reason=reason)]
        # What pub/sub queued meanwhile is among the missed, or newer: then its tail says that there is more to read.
        newer = bool(self.queue) and self.queue[-1].token != last
        self.queue.clear()
        self.queue.extend(missed)
        self.tail, self.overflowed = last, False
        self.stale = self.stale or newer


class Hub:
    """The readers of this process. `run()` must be running while anybody is attached."""

    def __init__(
        self, pubsub_redis: Client, redis: Client, timelines: Timelines, presence_ms: int, sweep_seconds: float
    ) -> None:
        self._pubsub: Any = pubsub_redis.pubsub()
        self._redis = redis
        self._scripts = Scripts(redis)
        self._timelines = timelines
        self._presence_ms = presence_ms
        self.sweep_seconds = sweep_seconds
        self._readers: dict[str, set[Reader]] = {}
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._confirmed: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        """Take messages and look after the readers until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen())
                tasks.create_task(self._sweep())
        finally:
            await self._pubsub.aclose()

    @asynccontextmanager
    async def attach(self, reader_id: int) -> AsyncIterator[Reader]:
        """A reader of this timeline, subscribed and confirmed. The channel closes with its last reader."""
        channel = keys.reader_channel(reader_id)
        reader = Reader(reader_id, self)
        self._readers.setdefault(channel, set()).add(reader)
        telemetry.LIVE_READERS.inc()
        try:
            await self._subscribe(channel)
            yield reader
        finally:
            telemetry.LIVE_READERS.dec()
            self._readers[channel].discard(reader)
            if not self._readers[channel]:
                del self._readers[channel]
                self._confirmed.pop(channel, None)
                await asyncio.shield(self._unsubscribe(channel))

    @asynccontextmanager
    async def watch(self, channel: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever a plain message came on this channel, or may have been missed. Clear it before
        reading what it announces. The channel closes with its last watcher."""
        changed = asyncio.Event()
        self._watchers.setdefault(channel, set()).add(changed)
        try:
            await self._subscribe(channel)
            yield changed
        finally:
            self._watchers[channel].discard(changed)
            if not self._watchers[channel]:
                del self._watchers[channel]
                self._confirmed.pop(channel, None)
                await asyncio.shield(self._unsubscribe(channel))

    async def missed(self, reader_id: int, position: str) -> tuple[list[Numbered] | None, str]:
        """The events behind a position, oldest first, and the newest token; None if the position is unknown, and an
        empty token if the reader is not present. One round trip."""
        names = [keys.presence(reader_id), keys.reader_stream(reader_id)]
        answer = await self._scripts.run("resume", names, position, self._presence_ms)
        if answer[0] == "lost":
            return None, answer[1] if len(answer) > 1 else ""
        # Each entry is the flat list p, previous, t, token, d, payload.
        return [parse(entry[3], entry[5]) for entry in answer[2]], answer[1]

    async def fresh_position(self, reader_id: int) -> str:
        """Make the reader present, and give the newest position. Waits while Redis cannot serve the timeline."""
        while True:
            position = await self._timelines.attach(reader_id)
            if position:
                return position
            await asyncio.sleep(self.sweep_seconds)

    async def _subscribe(self, channel: str) -> None:
        confirmed = self._confirmed.get(channel)
        if confirmed is None:
            confirmed = self._confirmed[channel] = asyncio.Event()
            try:
                await self._pubsub.ssubscribe(channel)
            except RedisError:
                # The listener reconnects and subscribes to everything again; the sweep serves meanwhile.
                log.warning("hub.subscribe_failed")
                return
        try:
            await asyncio.wait_for(confirmed.wait(), self.sweep_seconds)
        except TimeoutError:
            log.warning("hub.unconfirmed")

    async def _unsubscribe(self, channel: str) -> None:
        if channel in self._readers or channel in self._watchers:
            return
        try:
            await self._pubsub.sunsubscribe(channel)
        except RedisError:
            log.warning("hub.unsubscribe_failed")

    async def _listen(self) -> None:
        # A channel of its own opens the connection before the first reader comes, and keeps it.
        own = f"live:process:{fresh_token()}"
        subscribed = False
        while True:
            try:
                if not subscribed:
                    await self._pubsub.ssubscribe(own)
                    subscribed = True
                message = await self._pubsub.get_message(ignore_subscribe_messages=False, timeout=None)
                if message:
                    self._dispatch(message)
            except RedisError as error:
                log.warning("hub.disconnected", error=type(error).__name__)
                await asyncio.sleep(self.sweep_seconds / 4)

    def _dispatch(self, message: dict[str, Any]) -> None:
        channel = message["channel"]
        readers = self._readers.get(channel, ())
        for changed in self._watchers.get(channel, ()):
            # A repeated confirmation counts too: see below.
            changed.set()
        if message["type"] == "smessage" and readers:
            previous, token, payload = message["data"].split(":", 2)
            for reader in readers:
                reader.offer(previous, token, payload)
        elif message["type"] == "ssubscribe":
            # NOTE: redis-py reconnects silently; this repeated confirmation is the only sign of it.
            if confirmed := self._confirmed.get(channel):
                confirmed.set()
            for reader in readers:
                reader.doubt()

    async def _sweep(self) -> None:
        """Renew presence, and find readers whose newest message never came."""
        while True:
            await asyncio.sleep(self.sweep_seconds)
            channels = iter(list(self._readers.values()))
            while batch := [group for group in islice(channels, SWEEP_BATCH) if group]:
                try:
                    await self._look_after(batch)
                except RedisError as error:
                    log.warning("hub.sweep_failed", error=type(error).__name__)

    async def _look_after(self, groups: list[set[Reader]]) -> None:
        reader_ids = [next(iter(group)).reader_id for group in groups]
        async with self._redis.pipeline(transaction=False) as pipe:
            for reader_id in reader_ids:
                pipe.hget(keys.presence(reader_id), "last")
                pipe.pexpire(keys.presence(reader_id), self._presence_ms)
                pipe.pexpire(keys.reader_stream(reader_id), self._presence_ms)
            answers = await pipe.execute()
        for group, last in zip(groups, answers[::3], strict=True):
            for reader in group:
                if last != reader.tail:
                    reader.doubt()


def parse(token: str, payload: str) -> Numbered:
    """The event of a payload that lua/common.lua numbered."""
    kind, _, rest = payload.partition(":")
    if kind == "s":
        return Numbered(token, "s", reason=ResyncReason(rest))
    entry, _, tweet = rest.partition(":")
    return Numbered(token, kind, int(entry), int(tweet or 0))

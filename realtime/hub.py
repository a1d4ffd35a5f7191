"""Hub: one pub/sub connection a process, and the readers behind it. Pub/sub is only the fast path: the reader's own
stream is the data, so a lost message is read on, and what cannot be read on is announced (see realtime/reader.py).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import structlog

from datastore.follows import Follows
from datastore.joined import Joined
from datastore.mongo import PyMongoError as DatabaseError
from realtime import keys, telemetry
from realtime.connect import Client, RedisConnectionError, RedisError
from realtime.reader import Numbered, Reader, Said, for_others, parse
from realtime.scripts import Scripts
from realtime.subscribers import subscriber_of
from realtime.timelines import Timelines

log = structlog.get_logger()

# Readers looked after in one command of the sweep: a fraction of a millisecond of Redis.
SWEEP_BATCH = 250
# Readers asked about in one query when a top user writes.
MATCH_BATCH = 1000
# Plain messages that wait for a slow listener; they are news, and old news goes first.
QUEUED_MESSAGES = 100

# Entries of a stream looked at in one script: half a millisecond of Redis. Most resumes need a tenth of it.
LOOKED_AT_ONCE = 100

# The keys of a presence and its stream, a position, how long the presence lasts from now on (0: it does not end), and
# from where to read back ("+": from the newest).
Resume = tuple[str, str, str, int, str]
# Takes a plain message, or None for "there may have been some".
Tap = Callable[[str | None], None]


class Hub:
    """The readers of this process. `run()` must be running while anybody is attached."""

    def __init__(
        self,
        pubsub_redis: Client,
        redis: Client,
        timelines: Timelines,
        follows: Follows,
        presence_ms: int,
        sweep_seconds: float,
    ) -> None:
        self._subscriber = subscriber_of(pubsub_redis, self._dispatch, sweep_seconds / 4)
        self._redis = redis
        self._scripts = Scripts(redis)
        self._timelines = timelines
        self._follows = follows
        self._presence_ms = presence_ms
        self.sweep_seconds = sweep_seconds
        # Mostly one a channel: a tuple is a quarter of a set.
        self._readers: dict[str, tuple[Reader, ...]] = {}
        self._taps: dict[str, set[Tap]] = {}
        self._confirmed: set[str] = set()
        self._unconfirmed: dict[str, asyncio.Event] = {}
        # A thousand readers who come at once, from a server that died, are ten round trips; and all who stand at one
        # place of the shared stream have one answer.
        self._resumes = Joined(self._resume_all)
        self._of_top_users: asyncio.Queue[tuple[str, str, Said]] = asyncio.Queue()

    async def run(self) -> None:
        """Take messages and look after the readers until cancelled."""
        # The shared channel opens the connection before the first reader comes, and keeps it.
        await self._subscriber.subscribe(keys.TOP_CHANNEL)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._subscriber.run())
            tasks.create_task(self._match())
            tasks.create_task(self._sweep())

    @asynccontextmanager
    async def attach(self, reader_id: int) -> AsyncIterator[Reader]:
        """A reader of this timeline, subscribed and confirmed. The channel closes with its last reader."""
        reader = Reader(reader_id, self)
        try:
            await self.enter(reader)
            yield reader
        finally:
            await self.leave(reader)

    def reader(self, reader_id: int) -> Reader:
        """A reader of this timeline, not yet entered. It must be left."""
        return Reader(reader_id, self)

    async def enter(self, reader: Reader) -> None:
        """Feed a reader from now on; subscribed and confirmed."""
        channel = keys.reader_channel(reader.reader_id)
        self._readers[channel] = (*self._readers.get(channel, ()), reader)
        telemetry.LIVE_READERS.inc()
        await self._subscribe(channel)

    async def leave(self, reader: Reader) -> None:
        """Feed a reader no longer; idempotent."""
        channel = keys.reader_channel(reader.reader_id)
        before = self._readers.get(channel, ())
        if reader not in before:
            return
        telemetry.LIVE_READERS.dec()
        left = tuple(other for other in before if other is not reader)
        if left:
            self._readers[channel] = left
        else:
            del self._readers[channel]
            await asyncio.shield(self._unsubscribe(channel))

    @asynccontextmanager
    async def watch(self, *channels: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever a plain message came on one of these channels, or may have been missed. Clear
        it before reading what it announces."""
        changed = asyncio.Event()
        async with self._tapped(channels, lambda _: changed.set()):
            yield changed

    @asynccontextmanager
    async def listen(self, channel: str) -> AsyncIterator[asyncio.Queue[str]]:
        """The plain messages of this channel as they come. Whoever is too slow loses the oldest."""
        messages: asyncio.Queue[str] = asyncio.Queue(QUEUED_MESSAGES)

        def take(payload: str | None) -> None:
            if payload is None:
                return
            if messages.full():
                messages.get_nowait()
            messages.put_nowait(payload)

        async with self._tapped([channel], take):
            yield messages

    @asynccontextmanager
    async def _tapped(self, channels: Sequence[str], tap: Tap) -> AsyncIterator[None]:
        """Call `tap` with each message of these channels, with None after a reconnect. A channel closes with its last
        tap."""
        for channel in channels:
            self._taps.setdefault(channel, set()).add(tap)
        try:
            for channel in channels:
                await self._subscribe(channel)
            yield
        finally:
            for channel in channels:
                self._taps[channel].discard(tap)
                if not self._taps[channel]:
                    del self._taps[channel]
                    await asyncio.shield(self._unsubscribe(channel))

    async def missed(self, reader_id: int, position: str) -> tuple[list[Numbered] | None, str]:
        """What the reader's own stream holds behind a position. One round trip; makes an absent reader present."""
        names = keys.presence(reader_id), keys.reader_stream(reader_id)
        missed, last = await self._resume(*names, position, self._presence_ms)
        return missed, last or await self.fresh_position(reader_id)

    async def missed_of_top_users(self, reader_id: int, position: str) -> tuple[list[Numbered] | None, str]:
        """What the shared stream holds behind a position for this reader: events of authors they follow now."""
        missed, last = await self._resume(keys.TOP_PRESENCE, keys.TOP_STREAM, position, 0)
        if missed:
            followed = await self._follows.existing({(reader_id, said.author_id) for _, said in missed})
            missed = [
                (token, said if (reader_id, said.author_id) in followed else for_others(said)) for token, said in missed
            ]
        return missed, last or await self.top_position()

    async def _resume(
        self, presence: str, stream: str, position: str, ttl_ms: int
    ) -> tuple[list[Numbered] | None, str]:
        """One round trip, and one more for each `LOOKED_AT_ONCE` entries that the position is further back."""
        newest, upto, pairs = "", "+", list[tuple[str, str]]()
        while upto:
            answer: Any = await self._resumes.get((presence, stream, position, ttl_ms, upto))
            if not isinstance(answer, list):
                # Of a cluster: only the primary of these keys is away, and only who stands there waits for it.
                raise answer if isinstance(answer, RedisError) else RedisConnectionError("this primary was passed over")
            if answer[0] == "lost":
                return None, answer[1] if len(answer) > 1 else ""
            # What came since the first look is told by pub/sub.
            newest = newest or answer[1]
            pairs += zip(answer[2][::2], answer[2][1::2], strict=True)
            upto = answer[3] if answer[0] == "more" else ""
        return [(token, parse(payload)) for token, payload in reversed(pairs)], newest

    async def _resume_all(self, asked: Sequence[Resume]) -> dict[Resume, Any]:
        calls = [
            ((presence, stream), (position, ttl_ms, upto, LOOKED_AT_ONCE))
            for presence, stream, position, ttl_ms, upto in asked
        ]
        return dict(zip(asked, await self._scripts.run_each("resume", calls, raising=False), strict=True))

    async def top_position(self) -> str:
        """The newest position in the shared stream. Waits while Redis is away."""
        while True:
            try:
                return await self._timelines.top_position()
            except RedisError:
                await asyncio.sleep(self.sweep_seconds)

    async def fresh_position(self, reader_id: int) -> str:
        """Make the reader present, and give the newest position. Waits while Redis cannot serve the timeline."""
        while True:
            position = await self._timelines.attach(reader_id)
            if position:
                return position
            await asyncio.sleep(self.sweep_seconds)

    async def _subscribe(self, channel: str) -> None:
        if channel in self._confirmed:
            return
        waiting = self._unconfirmed.get(channel)
        if waiting is None:
            waiting = self._unconfirmed[channel] = asyncio.Event()
            await self._subscriber.subscribe(channel)
        try:
            await asyncio.wait_for(waiting.wait(), self.sweep_seconds)
        except TimeoutError:
            log.warning("hub.unconfirmed")

    async def _unsubscribe(self, channel: str) -> None:
        if channel in self._readers or channel in self._taps:
            return
        self._confirmed.discard(channel)
        self._unconfirmed.pop(channel, None)
        await self._subscriber.unsubscribe(channel)

    def _dispatch(self, kind: str, channel: str, data: str) -> None:
        if kind == "smessage" and (readers := self._readers.get(channel)):
            previous, token, payload = data.split(":", 2)
            said = parse(payload)
            for reader in readers:
                reader.own.offer(previous, token, said)
        elif kind == "smessage" and channel == keys.TOP_CHANNEL:
            previous, token, payload = data.split(":", 2)
            self._of_top_users.put_nowait((previous, token, parse(payload)))
        elif kind == "smessage":
            for tap in self._taps.get(channel, ()):
                tap(data)
        elif kind == "ssubscribe":
            self._subscribed(channel)

    def _subscribed(self, channel: str) -> None:
        """Repeated after a reconnect, and then something may have been missed."""
        for tap in self._taps.get(channel, ()):
            tap(None)
        if confirmed := self._unconfirmed.pop(channel, None):
            self._confirmed.add(channel)
            confirmed.set()
        if channel == keys.TOP_CHANNEL:
            for reader in self._all_readers():
                reader.top.doubt()
        for reader in self._readers.get(channel, ()):
            reader.own.doubt()

    def _all_readers(self) -> list[Reader]:
        return [reader for group in self._readers.values() for reader in group]

    async def _match(self) -> None:
        """Hand each event of a top user to the readers here who follow them: one query for a thousand readers."""
        while True:
            previous, token, said = await self._of_top_users.get()
            readers = self._all_readers()
            try:
                followers = await self._followers_of(said.author_id, {reader.reader_id for reader in readers})
            except DatabaseError as error:
                log.warning("hub.unmatched", error=type(error).__name__)
                for reader in readers:
                    reader.top.doubt()
                continue
            others = for_others(said)
            for reader in readers:
                reader.top.offer(previous, token, said if reader.reader_id in followers else others)

    async def _followers_of(self, author_id: int, reader_ids: set[int]) -> set[int]:
        left = iter(reader_ids)
        found: set[int] = set()
        while batch := list(islice(left, MATCH_BATCH)):
            found |= {reader for reader, _ in await self._follows.existing((reader, author_id) for reader in batch)}
        return found

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

    async def _look_after(self, groups: list[tuple[Reader, ...]]) -> None:
        names: list[str] = []
        for group in groups:
            reader_id = group[0].reader_id
            names += (keys.presence(reader_id), keys.reader_stream(reader_id))
        # One command: as 1,500 in a pipeline they took a sixth of the process's CPU at a thousand sockets.
        top_last, lasts = await asyncio.gather(
            self._redis.hget(keys.TOP_PRESENCE, "last"),
            self._scripts.run_over("renew", names, (self._presence_ms,), per=2),
        )
        for group, last in zip(groups, lasts, strict=True):
            for reader in group:
                # None: of a cluster, their primary is away, and they are looked after when it answers again.
                if last is not None and last != reader.own.tail:
                    reader.own.doubt()
                # While messages wait to be matched, the readers are behind on purpose.
                if top_last != reader.top.tail and self._of_top_users.empty():
                    reader.top.doubt()

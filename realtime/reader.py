"""Reader: one open subscription's place in its streams. Holds no connection; the hub feeds it and reads for it.

Guarantee: exactly the numbered events behind the position, in order, each once, or a resync in their place. Never a
silent hole, never a repeat. An idle one is a few hundred bytes: no task, no event of asyncio's, no deque.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from datastore import ids
from datastore.records import ResyncReason
from realtime import telemetry
from realtime.connect import RedisError

# Pushed events wait here while the reader is busy; a reader further behind reads on from the stream when drained.
QUEUE_LIMIT = 64
# The same payload comes once for each reader of its author, all within moments.
PAYLOADS_KEPT = 1024


class Said(NamedTuple):
    """What one event of a stream says, to all who are told it. kind '+': `entry_id` joined; '-': it left; either showed
    `tweet_id`; 's': resync, for this `reason`; '.': it is for others. `author_id` is told where they are a top user;
    `people`, where an entry was pushed, are all whose standing with the reader decides whether it is shown."""

    kind: str
    entry_id: int = 0
    tweet_id: int = 0
    author_id: int = 0
    reason: ResyncReason | None = None
    people: tuple[int, ...] = ()


# An event: its token, and what it says. A bare tuple: one is made for each event and reader.
Numbered = tuple[str, Said]
STATE_LOST = Said("s", reason=ResyncReason.STATE_LOST)


class Wake:
    """What to call when there is something to do. Nothing at first."""

    __slots__ = ("call",)

    def __init__(self) -> None:
        self.call: Callable[[], None] = _nobody


def _nobody() -> None:
    pass


@dataclass(slots=True, eq=False)
class Chain:
    """A reader's place in one stream. `position` is the token of the last event handed out, `tail` of the last one
    queued; `stale` says that pub/sub does not suffice and the stream must be read on."""

    wake: Wake
    position: str = ""
    tail: str = ""
    stale: bool = False
    overflowed: bool = False
    # Short, and mostly empty: a deque would be 600 bytes.
    queue: list[Numbered] = field(default_factory=list)

    def start(self, position: str) -> None:
        """Begin here, as a reconnect does: the stream is read before pub/sub counts, and what it queued before does not
        count at all."""
        self.queue.clear()
        self.position = self.tail = position
        self.doubt()

    def offer(self, previous: str, token: str, said: Said) -> None:
        """A pub/sub message: the next in the chain is queued, anything else makes the reader read on."""
        if said.kind == "." and previous == self.tail == self.position:
            # Nothing to show and nothing before it: the place moves, and nobody is woken.
            self.position = self.tail = token
            return
        if previous == self.tail and len(self.queue) < QUEUE_LIMIT:
            self.queue.append((token, said))
            self.tail = token
        elif token != self.tail:
            self.overflowed = self.overflowed or len(self.queue) >= QUEUE_LIMIT
            self.stale = True
        self.wake.call()

    def doubt(self) -> None:
        """Something may have been missed: read on."""
        self.stale = True
        self.wake.call()

    def take(self) -> Said:
        """What the next queued event says; the position moves behind it."""
        self.position, said = self.queue.pop(0)
        return said

    def fill(self, missed: list[Numbered], last: str) -> None:
        """Queue what the stream held behind the position, up to its newest token."""
        # What pub/sub queued meanwhile is among the missed, or newer: then its tail says that there is more to read.
        newer = bool(self.queue) and self.queue[-1][0] != last
        self.queue.clear()
        self.queue.extend(missed)
        self.tail, self.overflowed = last, False
        self.stale = self.stale or newer


# (reader, position) -> the events behind it, oldest first, or None if it is unknown; and the newest token.
MissedBy = Callable[[int, str], Awaitable[tuple[list[Numbered] | None, str]]]


class Source(Protocol):
    """What a reader reads from: the hub."""

    sweep_seconds: float

    async def fresh_position(self, reader_id: int) -> str:
        """The newest position in the reader's own stream."""

    async def top_position(self) -> str:
        """The newest position in the shared stream."""

    async def missed(self, reader_id: int, position: str) -> tuple[list[Numbered] | None, str]:
        """As MissedBy, in the reader's own stream."""

    async def missed_of_top_users(self, reader_id: int, position: str) -> tuple[list[Numbered] | None, str]:
        """As MissedBy, in the shared stream."""


class Reader:
    """One open subscription: the reader's own stream, and the one that all readers of top users share.

    Whoever drives it sets `wake.call` and starts it; then, at first and whenever woken: `take` until None, and
    `read_on` while `stale`.
    """

    __slots__ = ("_lost", "_source", "own", "reader_id", "top", "wake")

    def __init__(self, reader_id: int, source: "Source") -> None:
        self.reader_id = reader_id
        self.wake = Wake()
        self.own, self.top = Chain(self.wake), Chain(self.wake)
        self._source = source
        self._lost = False

    async def start(self, after: str | None) -> None:
        """Take a place behind `after` ("own/top"). None: from now on. Empty: the page had no position, so a resync
        comes first."""
        own, _, top = (after or "").partition("/")
        self.own.start(own or await self._source.fresh_position(self.reader_id))
        self.top.start(top or await self._source.top_position())
        self._lost = after == ""

    def take(self) -> Numbered | None:
        """The next event; its token is the position in both streams behind it. None: nothing more is at hand."""
        own, top = self.own, self.top
        if self._lost:
            self._lost = False
            return f"{own.position}/{top.position}", STATE_LOST
        while (own.queue or top.queue) and (chain := self._next()):
            said = chain.take()
            if said.kind != ".":
                return f"{own.position}/{top.position}", said
        return None

    @property
    def stale(self) -> bool:
        """Whether pub/sub does not suffice: read on when nothing more is at hand."""
        return self.own.stale or self.top.stale

    async def read_on(self) -> None:
        """Read one stream from the position in it, the reader's own first. While Redis is away it waits a sweep."""
        if self.own.stale:
            await self._read_on(self.own, self._source.missed)
        elif self.top.stale:
            await self._read_on(self.top, self._source.missed_of_top_users)

    async def events(self, after: str | None) -> AsyncIterator[Numbered]:
        """Everything behind `after`, then everything new, for ever."""
        woken = asyncio.Event()
        self.wake.call = woken.set
        await self.start(after)
        while True:
            if event := self.take():
                yield event
            elif self.stale:
                await self.read_on()
            else:
                woken.clear()
                await woken.wait()

    def _next(self) -> Chain | None:
        """The chain whose head comes next, so that an author who changes roads keeps their order. None while a chain
        without a head is still to be read on, for what it holds may come before the other's."""
        own, top = self.own, self.top
        if own.queue and top.queue:
            return top if _follows_one_of(own.queue[0][1], top.queue) else own
        if own.queue:
            return None if top.stale else own
        return top if top.queue and not own.stale else None

    async def _read_on(self, chain: Chain, missed_by: MissedBy) -> None:
        """Queue what the stream holds behind the position, or a resync where the chain is broken."""
        chain.stale, position = False, chain.position
        telemetry.LIVE_READ_ON.inc()
        try:
            missed, last = await missed_by(self.reader_id, position)
        except RedisError:
            await asyncio.sleep(self._source.sweep_seconds)
            chain.stale = True
            return
        if chain.position != position:
            # An event for others moved the place meanwhile: what was read is about another one.
            chain.stale = True
            return
        if missed is None:
            reason = ResyncReason.SLOW_CONSUMER if chain.overflowed else ResyncReason.STATE_LOST
            missed = [(last, Said("s", reason=reason))]
            if chain is self.own:
                # The page that is fetched now covers both streams: one resync is enough.
                self.top.start(await self._source.top_position())
        chain.fill(missed, last)


@lru_cache(PAYLOADS_KEPT)
def parse(payload: str) -> Said:
    """What a payload says that lua/common.lua numbered."""
    kind, _, rest = payload.partition(":")
    if kind == "s":
        return Said("s", reason=ResyncReason(rest))
    told = rest.split(":")
    entry, tweet, author = [*map(int, told[:3]), 0, 0][:3]
    # Who is concerned where the payload does not say it has to be looked up.
    people = tuple(map(int, told[3].split("."))) if len(told) > 3 else ()
    return Said(kind, entry, tweet, author, people=people)


def for_others(said: Said) -> Said:
    """What stands at its place in the stream for those whom it does not concern."""
    return Said(".", said.entry_id)


def _follows_one_of(said: Said, others: Iterable[Numbered]) -> bool:
    """Whether one of the others is older and of the same author: ids begin with their time and hold their author's
    bucket. The other way round need not be asked: both streams would have to be behind each other."""
    bucket = ids.bucket(said.entry_id)
    return any(
        other.entry_id < said.entry_id and other.kind != "." and ids.bucket(other.entry_id) == bucket
        for _, other in others
    )

"""Cache: copies of tweets and people, in Redis for everybody and in the process for a moment. Derived; safe to flush.
Never holds what depends on who asks, nor anything private.

A copy in Redis is never older than the last drop. Who misses one leases its key under a token of their own, then reads
MongoDB, then fills the key if the token is still there; a drop takes it away. So what was read before a write cannot
be put behind the drop that followed the write, however long the reader was held up: no clock is compared.

Who changed something drops the copies before they are answered (`drop`), and the worker does so again on the event of
the very update, whoever wrote it (`gather_tweet`, `gather_user`). Hence, after a write has been answered:

- its author is shown it at once, by every process: they are marked for two seconds, and a marked reader gets no copy of
  a process, whose copies live half a second (`for_reader`, and realtime/lua/page.lua for home pages);
- everybody else is shown it half a second later at most (PROCESS_CACHE_MS); a tombstone counts as any other change;
- what Redis loses meanwhile (a flush, an eviction) can cost the author that half second, never more;
- if the drop did not get through (Redis away, or the process died), both hold from the worker's drop on, which comes
  milliseconds after the write, and without a worker CACHE_SECONDS after the copy was made.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextvars import Context
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Generic, Self

import structlog

from datastore import tracing
from datastore.deadlines import left_seconds
from datastore.joined import Joined
from datastore.mongo import late
from datastore.records import Tweet, User
from datastore.settings import Settings
from datastore.tracing import Parent
from datastore.tweets import Tweets
from datastore.users import Users
from realtime import copies, keys, telemetry
from realtime.connect import RedisError
from realtime.copies import Copies, ProcessCopies, R
from realtime.scripts import Scripts, fresh_token, unlink_matching

log = structlog.get_logger()

# What a read takes between its lease and its fill, many times over; until then nobody else fills.
LEASE_MS = 1000
# Twice as long as any copy of a process may live (PROCESS_CACHE_MS), so that a clock may run a little fast.
WROTE_MS = 2000
# After a failure Redis is not asked for so long: one wait for it is enough for one page.
AWAY_SECONDS = 1.0
# Of one script, which takes about half a millisecond (tests/bench/scripts.py).
COPIES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class CacheBounds:
    """How long a copy lives in Redis and in a process, how many of each kind a process keeps, and how long an answer
    waits for its drop."""

    life_ms: int = 600_000
    process_ms: int = 500
    process_kept: int = 2_000
    drop_ms: int = 50

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the operator has it."""
        return cls(
            life_ms=settings.cache_seconds * 1000,
            process_ms=settings.process_cache_ms,
            process_kept=settings.process_cache_kept,
            drop_ms=settings.cache_drop_ms,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """The records that one request asks for, and within which span."""

    record_ids: Sequence[int]
    parent: Parent


class _Kind(Generic[R]):
    """One kind of record: its keys, how a copy is written, where the truth is."""

    # What requests ask for at one moment: nobody's in particular, so no one's deadline may end it.
    together: Joined[_Asked, dict[int, R]]

    def __init__(
        self,
        name: str,
        key: Callable[[int], str],
        written: Callable[[R], str],
        read: Callable[[int, str], R],
        truth: Callable[[Sequence[int]], Awaitable[list[R | None]]],
        bounds: CacheBounds,
    ) -> None:
        self.key: Callable[[int], str] = key
        self.written: Callable[[R], str] = written
        self.truth: Callable[[Sequence[int]], Awaitable[list[R | None]]] = truth
        self._read: Callable[[int, str], R] = read
        self.near: ProcessCopies[R] = ProcessCopies(bounds.process_kept, bounds.process_ms)
        self._count = {
            (layer, outcome): telemetry.COPY_READS.labels(layer, name, outcome)
            for layer in ("process", "redis")
            for outcome in ("hit", "miss")
        }

    def read(self, record_id: int, copy: str) -> R | None:
        """The record of what stands in its key; None for a lease, and for what another version wrote."""
        try:
            return self._read(record_id, copy) if copy.startswith("[") else None
        except (TypeError, ValueError):
            return None

    def counted(self, layer: str, hits: int, asked: int) -> None:
        """Export how a look went."""
        self._count[layer, "hit"].inc(hits)
        self._count[layer, "miss"].inc(asked - hits)


class Cache:
    """Tweets and people by id, for showing them. What a write is checked against is read from MongoDB instead."""

    def __init__(self, scripts: Scripts, tweets: Tweets, users: Users, bounds: CacheBounds | None = None) -> None:
        self._scripts = scripts
        self._bounds = bounds = bounds or CacheBounds()
        self._tweets = _Kind("tweet", keys.tweet_copy, copies.tweet_copy, copies.tweet_of, tweets.get_many, bounds)
        self._users = _Kind("user", keys.user_copy, copies.user_copy, copies.user_of, users.get_many, bounds)
        self._tweets.together = Joined(partial(self._read_for_all, self._tweets), context=Context)
        self._users.together = Joined(partial(self._read_for_all, self._users), context=Context)
        # Likewise nobody's.
        self._uses = Joined(self._uses_of, context=Context)
        self._gathered: set[str] = set()
        self._away_until = 0.0
        self._dropping: set[asyncio.Task[None]] = set()

    # What requests read

    def for_reader(self, reader_id: int) -> "asyncio.Future[Copies | None]":
        """Which copies this reader may be shown, by whether they have just changed anything. One round trip, shared
        with all who ask at this moment; never raises. To be awaited, and cancelled, by who asked alone."""
        return self._uses.ask(reader_id)

    async def _uses_of(self, reader_ids: list[int]) -> dict[int, Copies]:
        if time.monotonic() < self._away_until:
            return dict.fromkeys(reader_ids, Copies.SHARED)
        try:
            # Who cannot be looked up may have.
            marked = await self._scripts.run_over("wrote", [*map(keys.wrote, reader_ids)], (), away=1)
        except RedisError as error:
            self._away(error)
            return dict.fromkeys(reader_ids, Copies.SHARED)
        return {one: Copies.SHARED if mark else Copies.ALL for one, mark in zip(reader_ids, marked, strict=True)}

    async def tweets(self, tweet_ids: Sequence[int], use: Copies = Copies.SHARED) -> list[Tweet | None]:
        """Tweets in order of their ids, None where there is none or it was deleted.

        No round trip for what the process has, one to Redis for the rest; for what is missing there one to MongoDB and
        one to fill; each is shared with all who ask at this moment. Without Redis one to MongoDB, after at most one
        wait.
        """
        return await self._get(self._tweets, tweet_ids, use)

    async def users(self, user_ids: Sequence[int], use: Copies = Copies.SHARED) -> list[User | None]:
        """Profiles in order of their ids, None where there is none. As `tweets`."""
        return await self._get(self._users, user_ids, use)

    async def _get(self, kind: _Kind[R], record_ids: Sequence[int], use: Copies) -> list[R | None]:
        began = kind.near.now()
        found: dict[int, R] = {}
        if use is Copies.ALL:
            found = {one: record for one in record_ids if (record := kind.near.get(one))}
            kind.counted("process", len(found), len(record_ids))
        missing = [one for one in dict.fromkeys(record_ids) if one not in found]
        if missing:
            if use is Copies.NONE:
                fresh = await self._read(kind, missing, use)
            else:
                fresh = await self._from_all(kind, missing)
            for one in missing:
                if record := fresh.get(one):
                    kind.near.put(one, record, began)
                    found[one] = record
        return [found.get(one) for one in record_ids]

    async def _from_all(self, kind: _Kind[R], missing: Sequence[int]) -> dict[int, R]:
        """Read with all who ask at this moment. What they share ends with nobody's deadline, and each waits no longer
        than their own."""
        try:
            return await kind.together.get(_Asked(missing, tracing.current()), left_seconds()) or {}
        except TimeoutError:
            raise late() from None

    async def _read_for_all(self, kind: _Kind[R], asked: Sequence[_Asked]) -> dict[_Asked, dict[int, R]]:
        """All of them, for each."""
        missing = list(dict.fromkeys(one for each in asked for one in each.record_ids))
        parts = [missing[at : at + COPIES_AT_ONCE] for at in range(0, len(missing), COPIES_AT_ONCE)]
        with tracing.spans([("copies", each.parent) for each in asked if each.parent]):
            if len(parts) == 1:
                return dict.fromkeys(asked, await self._read(kind, missing, Copies.SHARED))
            read = await asyncio.gather(*(self._read(kind, part, Copies.SHARED) for part in parts))
        found = {one: record for part in read for one, record in part.items()}
        return dict.fromkeys(asked, found)

    async def _read(self, kind: _Kind[R], record_ids: Sequence[int], use: Copies) -> dict[int, R]:
        token = f"?{fresh_token()}"
        there = None if use is Copies.NONE else await self._shared(kind, record_ids, token)
        found: dict[int, R] = {}
        if there:
            pairs = zip(record_ids, there, strict=True)
            found = {one: record for one, copy in pairs if (record := kind.read(one, copy))}
            kind.counted("redis", len(found), len(record_ids))
        missing = [one for one in record_ids if one not in found]
        if not missing:
            return found
        # Read only now: whatever is written from here on takes the lease away.
        truth = {one: record for one, record in zip(missing, await kind.truth(missing), strict=True) if record}
        if there:
            leased = {one for one, copy in zip(record_ids, there, strict=True) if not copy}
            await self._fill(kind, token, {one: record for one, record in truth.items() if one in leased})
        return found | truth

    async def _shared(self, kind: _Kind[R], record_ids: Sequence[int], token: str) -> list[str] | None:
        """What stands in each key, '' where this read has the lease now; None if Redis does not answer."""
        if time.monotonic() < self._away_until:
            return None
        try:
            names = [*map(kind.key, record_ids)]
            there: list[str] = await self._scripts.run_over("copies_read", names, (token, LEASE_MS), away="-")
        except RedisError as error:
            self._away(error)
            return None
        return there

    async def _fill(self, kind: _Kind[R], token: str, records: dict[int, R]) -> None:
        if not records:
            return
        written = [*map(kind.written, records.values())]
        try:
            head = (token, self._bounds.life_ms)
            await self._scripts.run_over("copies_fill", [*map(kind.key, records)], head, written)
        except RedisError as error:
            self._away(error)

    def _away(self, error: RedisError) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        log.warning("copies.unserved", error=type(error).__name__)

    # What whoever wrote drops

    async def drop(self, viewer_id: int, tweet_ids: Iterable[int] = (), user_ids: Iterable[int] = ()) -> None:
        """Behind a write of the viewer's and before its answer: drop the copies of what it changed, and mark the
        viewer. One round trip, waited for CACHE_DROP_MS at most; idempotent; never raises."""
        tweets, users = [*tweet_ids], [*user_ids]
        dropping = asyncio.create_task(self._drop(viewer_id, tweets, users))
        self._dropping.add(dropping)
        dropping.add_done_callback(self._dropping.discard)
        # Cancelled neither here nor with the request: what was written is written.
        await asyncio.wait({dropping}, timeout=self._bounds.drop_ms / 1000)
        self._drop_here(tweets, users)

    async def _drop(self, viewer_id: int, tweet_ids: Collection[int], user_ids: Collection[int]) -> None:
        try:
            redis = self._scripts.redis
            copies_ = [*map(keys.tweet_copy, tweet_ids), *map(keys.user_copy, user_ids)]
            # Sent together.
            await asyncio.gather(redis.set(keys.wrote(viewer_id), "", px=WROTE_MS), redis.unlink(*copies_))
        except RedisError as error:
            log.warning("copies.undropped", error=type(error).__name__)
        # Behind the drop in Redis, or a read between the two would bring the old copy back for its half second.
        self._drop_here(tweet_ids, user_ids)

    def _drop_here(self, tweet_ids: Iterable[int], user_ids: Iterable[int]) -> None:
        for tweet_id in tweet_ids:
            self._tweets.near.drop(tweet_id)
        for user_id in user_ids:
            self._users.near.drop(user_id)

    def apart(self) -> "Cache":
        """The same copies, with nothing gathered."""
        other = copy(self)
        other._gathered = set()
        return other

    def gather_tweet(self, tweet_id: int) -> None:
        """Have the tweet's copy dropped by the next flush."""
        self._gathered.add(keys.tweet_copy(tweet_id))

    def gather_user(self, user_id: int) -> None:
        """Have the profile's copy dropped by the next flush."""
        self._gathered.add(keys.user_copy(user_id))

    async def flush(self) -> None:
        """Drop what was gathered. One round trip, none for nothing."""
        names, self._gathered = self._gathered, set()
        if names:
            await self._scripts.redis.unlink(*names)

    async def forget_all(self) -> None:
        """Drop every copy in Redis."""
        await unlink_matching(self._scripts.redis, keys.COPIES)

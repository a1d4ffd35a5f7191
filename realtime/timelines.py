"""Home timelines: per-reader sorted sets of entry ids. Derived; safe to flush. Never reads tweet bodies.

A page is a pure function of MongoDB now; Redis remembers its newest part. A missing set means "not kept", never
"empty": it is rebuilt on read, and meanwhile, and below its floor, MongoDB answers.
"""

import asyncio
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

import structlog

from datastore.entries import Entries
from datastore.follows import Follows
from datastore.ids import MAX_ID
from realtime import keys
from realtime.connect import RedisError
from realtime.scripts import Scripts, fresh_token

log = structlog.get_logger()

# A reader seldom scrolls past 200 entries; older pages come from MongoDB.
KEPT_ENTRIES = 200
# Trimming at every push past 200 would cost each push; at 232 it costs one in 32 and still fits a listpack of 256.
TRIM_AT = 232
# A timeline nobody has read for so long costs no more writes, and is rebuilt at the next read.
INACTIVE_DAYS = 7
# Presence outlives a reconnect and a phone in a tunnel.
PRESENCE_SECONDS = 900
# As many events as a timeline has entries: a reader further behind is better served by a page.
EVENTS_KEPT = 200


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept, and for how long."""

    kept_entries: int = KEPT_ENTRIES
    trim_at: int = TRIM_AT
    inactive_ms: int = INACTIVE_DAYS * 24 * 3600 * 1000
    presence_ms: int = PRESENCE_SECONDS * 1000
    events_kept: int = EVENTS_KEPT
    # A builder that has not finished by then is taken for dead.
    build_lease_ms: int = 5000


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Entry ids of one page, newest first, each once. `more`: there are older ones. `token`: the live position read
    at the same moment, empty if none was asked for or Redis did not serve."""

    entry_ids: list[int]
    more: bool
    token: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """What Redis knows of a page: all entries in (floor, before), at most as many as were asked for."""

    entry_ids: list[int]
    floor: int
    token: str


# Redis knows nothing: everything lies at or below the floor.
_NOTHING = _Kept([], MAX_ID, "")


class Timelines:
    """The timelines of all readers."""

    def __init__(self, scripts: Scripts, follows: Follows, entries: Entries, bounds: Bounds) -> None:
        self._scripts = scripts
        self._follows = follows
        self._entries = entries
        self._bounds = bounds
        self._building: dict[int, asyncio.Task[bool]] = {}

    async def page(self, reader_id: int, first: int, before: int | None = None, live: bool = False) -> Skeleton:
        """Entry ids for one page; `before` is exclusive, None starts at the newest.

        One Redis round trip beside one to MongoDB for the reader's own newest entries, so that they see their own
        tweet however far behind the workers are; two more to MongoDB where the page reaches below the floor (three
        and more above 200 followees). A miss rebuilds first. With `live` the reader becomes present.
        """
        count = first + 1
        kept, own = await asyncio.gather(
            self._kept(reader_id, count, before, live), self._entries.newest([reader_id], count, before)
        )
        older: list[int] = []
        if len(kept.entry_ids) < count and kept.floor > 0:
            below = kept.floor + 1 if before is None else min(before, kept.floor + 1)
            older = await self._from_truth(reader_id, count - len(kept.entry_ids), below)
        entry_ids = _union(count, kept.entry_ids, older, own)
        return Skeleton(entry_ids[:first], len(entry_ids) > first, kept.token)

    async def attach(self, reader_id: int) -> str | None:
        """Make the reader present and give the position to read on from; None if Redis cannot serve now."""
        kept = await self._kept(reader_id, 0, None, live=True)
        return kept.token or None

    async def merge(self, reader_id: int, author_id: int) -> None:
        """Put an author's entries above the floor into a reader's timeline, and tell a present reader to resync.

        Idempotent. Asks MongoDB for as many entries as a timeline keeps: what lies deeper is left out, and the floor
        says so.
        """
        limit = self._bounds.kept_entries
        entries = await self._entries.newest([author_id], limit)
        cut = entries[-1] - 1 if len(entries) == limit else 0
        await self._scripts.run(
            "merge",
            self._keys(reader_id),
            fresh_token(),
            limit,
            self._bounds.events_kept,
            self._bounds.presence_ms,
            keys.bucket(reader_id),
            reader_id,
            cut,
            *entries,
        )

    async def drop(self, reader_ids: Iterable[int]) -> None:
        """Keep these readers' timelines no longer: the next read rebuilds them, and open subscriptions resync."""
        names = [name for reader_id in reader_ids for name in self._keys(reader_id)]
        if names:
            await self._scripts.redis.unlink(*names)

    async def forget_all(self) -> None:
        """Keep nobody's timeline any longer. Walks the keys in steps, so that Redis is never held up."""
        batch: list[str] = []
        for pattern in ("tl:*", "on:*", "ev:*"):
            async for name in self._scripts.redis.scan_iter(pattern, count=1000):
                batch.append(name)
                if len(batch) == 1000:
                    await self._scripts.redis.unlink(*batch)
                    batch.clear()
        if batch:
            await self._scripts.redis.unlink(*batch)

    async def rebuild(self, reader_id: int) -> bool:
        """Build a timeline that is not kept, once however many ask in this process. False: another process builds."""
        task = self._building.get(reader_id)
        if task is None:
            task = self._building[reader_id] = asyncio.create_task(self._rebuild(reader_id))
            task.add_done_callback(lambda _: self._building.pop(reader_id, None))
        # Shielded: a reader who goes away must not end the build for the others who wait.
        return await asyncio.shield(task)

    async def _rebuild(self, reader_id: int) -> bool:
        token = fresh_token()
        state = await self._scripts.run("build_begin", self._keys(reader_id)[:1], token, self._bounds.build_lease_ms)
        if state != "begun":
            return bool(state == "served")
        # Read only now: what is written from here on is also pushed into the set.
        limit = self._bounds.kept_entries
        entries = await self._from_truth(reader_id, limit, None)
        cut = entries[-1] - 1 if len(entries) == limit else 0
        head = (token, limit, self._bounds.inactive_ms, cut)
        return bool(await self._scripts.run("build_finish", self._keys(reader_id), *head, *entries))

    async def _kept(self, reader_id: int, count: int, before: int | None, live: bool) -> _Kept:
        """What Redis serves; rebuilds a missing timeline. Knows nothing while Redis is away or another builds."""
        try:
            kept = await self._read(reader_id, count, before, live)
            if kept is None and await self.rebuild(reader_id):
                kept = await self._read(reader_id, count, before, live)
            return kept or _NOTHING
        except RedisError as error:
            log.warning("timeline.unserved", reader=reader_id, error=type(error).__name__)
            return _NOTHING

    async def _read(self, reader_id: int, count: int, before: int | None, live: bool) -> _Kept | None:
        start = "+inf" if before is None else f"({before}"
        bounds = self._bounds
        state, *rest = await self._scripts.run(
            "page",
            self._keys(reader_id),
            start,
            count,
            int(live),
            fresh_token(),
            bounds.presence_ms,
            bounds.inactive_ms,
        )
        if state != "served":
            return None
        floor, token, entries = rest
        return _Kept([int(entry) for entry in entries], int(floor), token)

    async def _from_truth(self, reader_id: int, count: int, before: int | None) -> list[int]:
        followees = await self._follows.followee_ids(reader_id)
        return await self._entries.newest([*followees, reader_id], count, before)

    def _keys(self, reader_id: int) -> tuple[str, str, str]:
        return keys.timeline(reader_id), keys.presence(reader_id), keys.reader_stream(reader_id)


def _union(count: int, *lists: Sequence[int]) -> list[int]:
    """The `count` highest of some descending lists, each once."""
    return [entry for entry, _ in islice(groupby(heapq.merge(*lists, reverse=True)), count)]

"""Home timelines: per-reader lists of entry ids. Derived; safe to flush. Never reads tweet bodies.

A page is a pure function of MongoDB now; Redis remembers its newest part. A missing list means "not kept", never
"empty": it is rebuilt on read, and meanwhile, and below its floor, MongoDB answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Self

import structlog

from datastore.entries import Entries
from datastore.follows import Follows
from datastore.ids import MAX_ID
from datastore.settings import Settings
from datastore.together import together
from realtime import keys
from realtime.connect import RedisError
from realtime.copies import Copies
from realtime.load import Burden, Load
from realtime.scripts import Arg, Scripts, fresh_token, unlink_matching

log = structlog.get_logger()

# A reader seldom scrolls past 200 entries; older pages come from MongoDB.
KEPT_ENTRIES = 200
# Trimming at every push past 200 would cost each push; at 232 it costs one in 32.
TRIM_AT = 232
# A timeline nobody has read for so long costs no more writes, and is rebuilt at the next read.
INACTIVE_DAYS = 7
# Presence outlives a reconnect and a phone in a tunnel.
PRESENCE_SECONDS = 900
# As many events as a timeline has entries: a reader further behind is better served by a page.
EVENTS_KEPT = 200
# Merges of up to 200 entries sent together: some 10,000 entries, a few milliseconds of Redis.
MERGES_PER_PIPELINE = 50

# The keys of a list, of its presence and of its stream.
Names = tuple[str, str, str]


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

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the operator has it."""
        return cls(
            kept_entries=settings.kept_entries,
            trim_at=settings.trim_at,
            inactive_ms=settings.inactive_days * 24 * 3600 * 1000,
            presence_ms=settings.presence_seconds * 1000,
            events_kept=settings.events_kept,
        )


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Entry ids of one page, newest first, each once. `more`: there are older ones. `token`: the live position read
    before anything else, "own/top", empty if none was asked for or Redis did not serve. `pulled`: the top users whose
    recent entries were merged in. `copies`: which ones the page may show its tweets and people from."""

    entry_ids: list[int]
    more: bool
    token: str
    pulled: frozenset[int]
    copies: Copies = Copies.SHARED


@dataclass(frozen=True, slots=True)
class _Kept:
    """What Redis knows of a page: all entries in (floor, before), at most as many as were asked for; and which copies
    the reader may be shown, by whether they have just changed anything."""

    entry_ids: list[int]
    floor: int
    token: str
    copies: Copies


# Redis knows nothing: everything lies at or below the floor.
_NOTHING = _Kept([], MAX_ID, "", Copies.SHARED)
# It does not answer either.
_AWAY = _Kept([], MAX_ID, "", Copies.NONE)


class Timelines:
    """The timelines of all readers."""

    def __init__(
        self, scripts: Scripts, follows: Follows, entries: Entries, bounds: Bounds, load: Load | None = None
    ) -> None:
        self._load = load
        self._scripts = scripts
        self._follows = follows
        self._entries = entries
        self.bounds = bounds
        self._building: dict[str, asyncio.Task[bool]] = {}

    async def page(self, reader_id: int, first: int, before: int | None = None, live: bool = False) -> Skeleton:
        """Entry ids for one page; `before` is exclusive, None starts at the newest.

        The order of reading is what keeps a page whole while an author changes roads: the live position (with `live`
        only: the reader becomes present), then whom the reader follows by pulling, then the lists. Beside them the
        reader's own newest entries from MongoDB, so that they see their own tweet however far behind the workers are.
        Two round trips, one more with `live`, one more for followed top users; two more to MongoDB where the page
        reaches below a floor (three and more above 200 followees). A miss rebuilds first.
        """
        count = first + 1
        token = await self._live_token(reader_id) if live else ""
        # Redis has just been seen to be away: one wait for it is enough for one page.
        away = token is None
        finds = (*self._entries.find_newest(reader_id, count, before), self._follows.find_top_followees(reader_id))
        *own, pulled = await together(*finds)
        lists = [_AWAY] if away else await self._lists(reader_id, pulled, count, before)
        floor = max(kept.floor for kept in lists)
        found = [[entry for entry in kept.entry_ids if entry > floor] for kept in lists]
        entry_ids = _union(count, *own, *found)
        if len(_union(count, *found)) < count and floor > 0:
            below = floor + 1 if before is None else min(before, floor + 1)
            entry_ids = _union(count, entry_ids, await self._from_truth(reader_id, count, below))
        return Skeleton(entry_ids[:first], len(entry_ids) > first, token or "", frozenset(pulled), lists[0].copies)

    async def _lists(self, reader_id: int, pulled: Sequence[int], count: int, before: int | None) -> list[_Kept]:
        """What Redis serves of the reader's timeline and of each followed top user's entries, side by side."""
        own = self._kept(reader_id, count, before)
        if not pulled:
            return [await own]
        return await asyncio.gather(own, *(self._recent(author, count, before) for author in pulled))

    async def _live_token(self, reader_id: int) -> str | None:
        """ "own/top"; empty if Redis cannot serve the timeline now, None if it does not answer."""
        try:
            own, top = await asyncio.gather(self.attach(reader_id), self.top_position())
        except RedisError:
            return None
        return f"{own}/{top}" if own else ""

    async def attach(self, reader_id: int) -> str | None:
        """Make the reader present and give the position to read on from; None if Redis cannot serve now."""
        kept = await self._kept(reader_id, 0, None, live=True)
        return kept.token or None

    async def top_position(self) -> str:
        """The newest position in the stream that all readers of top users share."""
        return str(await self._scripts.run("top_position", [keys.TOP_PRESENCE, keys.TOP_STREAM], fresh_token()))

    async def merge(self, reader_id: int, author_id: int) -> None:
        """Put an author's entries above the floor into a reader's timeline, and tell a present reader to resync.

        Idempotent. Asks MongoDB for as many entries as a timeline keeps: what lies deeper is left out, and the floor
        says so.
        """
        limit = self.bounds.kept_entries
        entries = await self._entries.newest([author_id], limit)
        cut = entries[-1] - 1 if len(entries) == limit else 0
        call = self._keys(reader_id), self._merge_args(reader_id, fresh_token(), cut, entries)
        await self._scripts.run_each("merge", [call])

    async def fill(self, reader_ids: Iterable[int], entries: Sequence[int], cut: int) -> None:
        """Put entries above the floor into many readers' timelines and tell nobody; the floors rise to `cut`, below
        which entries of this kind were not looked for. Idempotent."""
        for batch in _batches(reader_ids, MERGES_PER_PIPELINE):
            calls = [(self._keys(reader), self._merge_args(reader, "", cut, entries)) for reader in batch]
            await self._scripts.run_each("merge", calls)

    def _merge_args(self, reader_id: int, nonce: str, cut: int, entries: Sequence[int]) -> list[Arg]:
        bounds = self.bounds
        tag = keys.bucket(reader_id)
        return [nonce, bounds.kept_entries, bounds.events_kept, bounds.presence_ms, tag, reader_id, cut, *entries]

    async def drop(self, reader_ids: Iterable[int]) -> None:
        """Keep these readers' timelines no longer: the next read rebuilds them, and open subscriptions resync."""
        names = [name for reader_id in reader_ids for name in self._keys(reader_id)]
        if names:
            await self._scripts.redis.unlink(*names)

    async def forget_all(self) -> None:
        """Keep nobody's timeline any longer."""
        await unlink_matching(self._scripts.redis, keys.REBUILT_ON_READ)

    async def forget_live(self) -> None:
        """Nobody is present any longer: open subscriptions resync. The timelines stay."""
        await unlink_matching(self._scripts.redis, keys.LIVE)

    async def rebuild(self, reader_id: int) -> bool:
        """Build a timeline that is not kept, once however many ask in this process. False: another process builds."""
        return await self._build_once(self._keys(reader_id), lambda count: self._from_truth(reader_id, count, None))

    async def _build_once(self, names: Names, read: Callable[[int], Awaitable[list[int]]]) -> bool:
        task = self._building.get(names[0])
        if task is None:
            task = self._building[names[0]] = asyncio.create_task(self._build(names, read))
            task.add_done_callback(lambda _: self._building.pop(names[0], None))
        # Shielded: a reader who goes away must not end the build for the others who wait.
        return await asyncio.shield(task)

    async def _build(self, names: Names, read: Callable[[int], Awaitable[list[int]]]) -> bool:
        token = fresh_token()
        state = await self._scripts.run("build_begin", names[:1], token, self.bounds.build_lease_ms)
        if state != "begun":
            return bool(state == "served")
        # Read only now: what is written from here on is also pushed into the list.
        limit = self.bounds.kept_entries
        entries = await read(limit)
        cut = entries[-1] - 1 if len(entries) == limit else 0
        head = (token, limit, self.bounds.inactive_ms, cut)
        return bool(await self._scripts.run("build_finish", names, *head, *entries))

    async def _kept(self, reader_id: int, count: int, before: int | None, live: bool = False) -> _Kept:
        """What Redis serves of a reader's timeline; rebuilds it if it is missing."""
        names = (*self._keys(reader_id), keys.wrote(reader_id))
        return await self._served(names, count, before, live, lambda: self.rebuild(reader_id))

    async def _recent(self, author_id: int, count: int, before: int | None) -> _Kept:
        """What Redis serves of a top user's recent entries; rebuilds them if they are missing."""
        name = keys.recent(author_id)
        # A recent list has no live state of its own: the last two names are never written.
        names = (name, f"{name}:on", f"{name}:ev")
        build = partial(self._build_once, names, lambda limit: self._entries.newest([author_id], limit))
        return await self._served(names, count, before, False, build)

    async def _served(
        self, names: Sequence[str], count: int, before: int | None, live: bool, build: Callable[[], Awaitable[bool]]
    ) -> _Kept:
        """Knows nothing while Redis is away or another process builds."""
        try:
            kept = await self._read(names, count, before, live)
            # Where too much is asked already, MongoDB answers this page alone.
            if kept is None and (self._load is None or self._load.spares(Burden.REBUILD)) and await build():
                kept = await self._read(names, count, before, live)
            return kept or _NOTHING
        except RedisError as error:
            log.warning("timeline.unserved", key=names[0], error=type(error).__name__)
            return _AWAY

    async def _read(self, names: Sequence[str], count: int, before: int | None, live: bool) -> _Kept | None:
        end = "" if before is None else before
        ends = (self.bounds.presence_ms, self.bounds.inactive_ms)
        token = fresh_token() if live else ""
        state, *rest = await self._scripts.run("page", names, end, count, int(live), token, *ends)
        if state != "served":
            return None
        floor, token, entries, wrote = rest
        copies = Copies.SHARED if wrote else Copies.ALL
        return _Kept([int(entry) for entry in entries], int(floor), token, copies)

    async def _from_truth(self, reader_id: int, count: int, before: int | None) -> list[int]:
        followees = await self._follows.followee_ids(reader_id)
        return await self._entries.newest([*followees, reader_id], count, before)

    def _keys(self, reader_id: int) -> tuple[str, str, str]:
        return keys.timeline(reader_id), keys.presence(reader_id), keys.reader_stream(reader_id)


def _union(count: int, *lists: Sequence[int]) -> list[int]:
    """The `count` highest of some descending lists, each once."""
    return sorted(set().union(*lists), reverse=True)[:count]


def _batches(values: Iterable[int], size: int) -> Iterator[list[int]]:
    left = iter(values)
    while batch := list(islice(left, size)):
        yield batch

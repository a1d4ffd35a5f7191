"""Top tweets: for each window one sorted set of the best places (datastore.popularity), and snapshots to page over.

Derived; safe to flush. A list is a pure function of MongoDB and the moment: where Redis does not serve, MongoDB answers
from an index. Never reads tweet bodies, filters nothing.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from secrets import randbits
from typing import Any

import structlog

from datastore import ids, popularity
from datastore.joined import Joined
from datastore.records import TopWindow
from datastore.tweets import Tweets
from realtime import keys
from realtime.connect import RedisError
from realtime.scripts import Arg, Scripts, fresh_token

log = structlog.get_logger()

# Tweets in one part of a rebuild, and in one call of the ranking script, which looks twice at each in three lists:
# above, Redis stalls for milliseconds.
TWEETS_PER_SCRIPT, RANKED_PER_SCRIPT = 250, 40
# Nobody pages deeper; who subscribes sees at most a page.
LISTED, WATCHED = 1000, 100


@dataclass(frozen=True, slots=True)
class TopBounds:
    """How much is kept, and for how long.

    Trimming by rank keeps the list exact: what goes raises the floor, a set is complete above its floor, and when fewer
    than `listed` are left above it, the set is dropped and rebuilt. So 9,000 of 10,000 must leave before that happens.
    """

    kept: int = 10_000
    trim_at: int = 11_000
    listed: int = LISTED
    # A list of 1,000 takes about 100 KB. The cursor of one that had to go still works, by place.
    snapshots: int = 64
    snapshot_ms: int = 5 * 60 * 1000
    # Whatever may have slipped in (a worker that froze between reading and writing) is gone after so long.
    life_ms: int = 3600 * 1000
    build_lease_ms: int = 5000


@dataclass(frozen=True, slots=True)
class Position:
    """Behind what a page begins: `rank` tweets of `snapshot` (0: of none), the last of which stood at `place`."""

    snapshot: int
    rank: int
    place: float
    tweet_id: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """One row: where it stands, and how to go on behind it."""

    tweet_id: int
    score: float
    position: Position


@dataclass(frozen=True, slots=True)
class TopSkeleton:
    """Rows of one page, best first, as they stood at `at_ms`. `more`: there are further ones."""

    rows: list[Ranked]
    more: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class _First:
    """The first page of a list, as it is for everybody; of no snapshot. `now_ms` is of who asks first."""

    window: TopWindow
    count: int
    now_ms: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list holds: places by tweet; it is complete above `floor`, and shows nothing below `lowest`. `broken`: it
    says neither that it is served nor that somebody builds it, and so is of no use to anybody."""

    places: dict[int, float]
    floor: float
    lowest: float
    broken: bool


class TopTweets:
    """The lists of all windows. Owns every key that starts with `top:`."""

    def __init__(self, scripts: Scripts, tweets: Tweets, bounds: TopBounds | None = None) -> None:
        self._scripts = scripts
        self._tweets = tweets
        self._bounds = bounds or TopBounds()
        self._gathered: set[int] = set()
        self._building: dict[TopWindow, asyncio.Task[bool]] = {}
        # Nobody's in particular, so no one request's deadline may end it.
        self._firsts = Joined(self._first_pages, context=Context)

    # What workers write

    def apart(self) -> "TopTweets":
        """Another one, with nothing gathered."""
        return TopTweets(self._scripts, self._tweets, self._bounds)

    def gather(self, tweet_id: int) -> None:
        """Have the tweet ranked by the next flush."""
        self._gathered.add(tweet_id)

    async def flush(self) -> None:
        """Rank what was gathered."""
        tweet_ids, self._gathered = self._gathered, set()
        await self.rank(tweet_ids)

    async def rank(self, tweet_ids: Collection[int]) -> None:
        """Put tweets where MongoDB says that they stand now, or take them out: one ZADD or ZREM a window. Idempotent.

        One round trip to each, for each 250 tweets. Calls for one tweet must not overlap: its events are of one
        partition.
        """
        wanted = sorted(tweet_ids)
        for at in range(0, len(wanted), TWEETS_PER_SCRIPT):
            await self._rank(wanted[at : at + TWEETS_PER_SCRIPT])

    async def _rank(self, tweet_ids: Sequence[int]) -> None:
        places = await self._tweets.places(tweet_ids)
        parts = range(0, len(tweet_ids), RANKED_PER_SCRIPT)
        names = [name for window in TopWindow for name in (*_keys(window), keys.top_channel(window))]
        calls = [(names, self._ranking(tweet_ids[at : at + RANKED_PER_SCRIPT], places)) for at in parts]
        await self._scripts.run_each("top_rank", calls)

    def _ranking(self, tweet_ids: Sequence[int], places: Mapping[int, Mapping[TopWindow, float]]) -> list[Arg]:
        bounds, now_ms = self._bounds, ids.now_ms()
        args: list[Arg] = [bounds.kept, bounds.trim_at, bounds.listed, WATCHED, len(tweet_ids)]
        for window in TopWindow:
            args.append(repr(popularity.lowest_place(window, now_ms)))
            for tweet_id in tweet_ids:
                place = places.get(tweet_id, {}).get(window)
                args += [_member(tweet_id), "" if place is None else repr(place)]
        return args

    async def drop(self) -> None:
        """Keep no list any longer: the next read rebuilds it."""
        await self._scripts.redis.unlink(*(name for window in TopWindow for name in _keys(window)[::2]))

    # What the reconciler reads

    async def listed(self, window: TopWindow, tweet_ids: Sequence[int] | None = None) -> Listed | None:
        """All that is listed, or of these tweets; None while the list is not kept or is built. Read in steps: what is
        there all the while is found."""
        name, lowest = keys.top_tweets(window), popularity.lowest_place(window, ids.now_ms())
        sentinel: Any = await self._scripts.redis.zrange(name, -1, -1)
        if not sentinel or sentinel[0].startswith("b:"):
            return None
        broken = not sentinel[0].startswith("floor:")
        floor = float("-inf") if broken else float(sentinel[0].removeprefix("floor:"))
        if tweet_ids is None:
            rows = [row async for row in self._scripts.redis.zscan_iter(name, count=TWEETS_PER_SCRIPT)]
            places = {int(member): place for member, place in rows if member.isdigit()}
        else:
            scores: Any = await self._scripts.redis.zmscore(name, [*map(_member, tweet_ids), ""])
            places = {tweet: place for tweet, place in zip(tweet_ids, scores, strict=False) if place is not None}
        return Listed(places, floor, lowest, broken)

    # What requests read

    async def page(
        self, window: TopWindow, first: int, now_ms: int, after: Position | None = None, snapshot: bool = False
    ) -> TopSkeleton:
        """One page, of at most 1,000 listed tweets; `after` is exclusive. Fewer than `first` means the end.

        One Redis round trip, which all who ask for the same first page at this moment share; without Redis, or while
        the list is built, one to MongoDB. With `snapshot`, or behind a position in one, the pages of one walk repeat
        nothing and leave nothing out, for five minutes; after that, and without Redis, a walk goes on by place.
        """
        reached = after.rank if after else 0
        count = min(first + 1, self._bounds.listed - reached)
        if count <= 0:
            return TopSkeleton([], False, now_ms)
        found = await self._kept(window, count, now_ms, after, snapshot)
        if found is None:
            behind = (after.place, after.tweet_id) if after else None
            lowest = popularity.lowest_place(window, now_ms)
            found = _rows(window, reached, 0, now_ms, await self._tweets.top(window, count, lowest, behind))
        rows, at_ms = found
        return TopSkeleton(rows[:first], len(rows) > first, at_ms)

    async def _kept(
        self, window: TopWindow, count: int, now_ms: int, after: Position | None, snapshot: bool
    ) -> tuple[list[Ranked], int] | None:
        """The rows as Redis serves them, and when they stood so; rebuilds a missing list. None while it cannot."""
        try:
            if after is None and not snapshot:
                found = await self._firsts.get(_First(window, count, now_ms))
            else:
                found = await self._served(window, count, now_ms, after, snapshot)
            if found == "missing" and await self.rebuild(window):
                found = await self._served(window, count, now_ms, after, snapshot)
        except RedisError as error:
            log.warning("top_tweets.unserved", window=window, error=type(error).__name__)
            return None
        return found if isinstance(found, tuple) else None

    async def _first_pages(self, asked: list[_First]) -> dict[_First, tuple[list[Ranked], int] | str]:
        pages = [self._served(one.window, one.count, one.now_ms) for one in asked]
        # One nearly always, and a task for it costs as much as its command.
        found = [await pages[0]] if len(pages) == 1 else await asyncio.gather(*pages)
        return dict(zip(asked, found, strict=True))

    async def _served(
        self, window: TopWindow, count: int, now_ms: int, after: Position | None = None, snapshot: bool = False
    ) -> tuple[list[Ranked], int] | str:
        """As `_kept`, without rebuilding; else the state that the list is in. One round trip."""
        fresh = randbits(52) + 1 if snapshot and after is None else ""
        behind = [after.snapshot or "", after.rank, repr(after.place), _member(after.tweet_id)] if after else []
        bounds = self._bounds
        args: list[Arg] = [count, repr(popularity.lowest_place(window, now_ms)), now_ms]
        args += [*(behind or ["", 0, "", ""]), fresh, bounds.listed, bounds.snapshots, bounds.snapshot_ms]
        state, *served = await self._scripts.run("top_page", _keys(window), *args)
        if state != "served":
            return str(state)
        snapshot_id, at_ms, rows = served
        pairs = [(int(member), float(place)) for member, place in zip(rows[::2], rows[1::2], strict=True)]
        return _rows(window, after.rank if after else 0, int(snapshot_id or 0), int(at_ms), pairs)

    async def rebuild(self, window: TopWindow) -> bool:
        """Build a list that is not kept, once however many ask in this process. False: another process builds."""
        task = self._building.get(window)
        if task is None:
            task = self._building[window] = asyncio.create_task(self._rebuild(window))
            task.add_done_callback(lambda _: self._building.pop(window, None))
        # Shielded: a reader who goes away must not end the build for the others who wait.
        return await asyncio.shield(task)

    async def _rebuild(self, window: TopWindow) -> bool:
        names, token, bounds = _keys(window), fresh_token(), self._bounds
        state = await self._scripts.run("top_begin", names[:1], token, bounds.build_lease_ms)
        if state != "begun":
            return bool(state == "served")
        # Read only now: what is written from here on is also put into the set, and stays.
        rows = await self._tweets.top(window, bounds.kept, popularity.lowest_place(window, ids.now_ms()))
        floor = repr(rows[-1][1]) if len(rows) == bounds.kept else "-inf"
        done = 1
        for at in range(0, len(rows) + 1, TWEETS_PER_SCRIPT):
            part = rows[at : at + TWEETS_PER_SCRIPT]
            last = at + TWEETS_PER_SCRIPT > len(rows)
            pairs = [arg for tweet_id, place in part for arg in (_member(tweet_id), repr(place))]
            head = (token, floor if last else "", bounds.life_ms)
            done = await self._scripts.run("top_fill", [names[0], names[2]], *head, *pairs)
        return bool(done)


def _rows(
    window: TopWindow, reached: int, snapshot_id: int, at_ms: int, pairs: Sequence[tuple[int, float]]
) -> tuple[list[Ranked], int]:
    """The rows behind the first `reached`, and when they stood so."""
    rows = [
        Ranked(tweet, popularity.score(place, window, at_ms), Position(snapshot_id, rank, place, tweet))
        for rank, (tweet, place) in enumerate(pairs, reached + 1)
    ]
    return rows, at_ms


def _keys(window: TopWindow) -> tuple[str, str, str]:
    return keys.top_tweets(window), keys.top_snapshots(window), keys.top_latest(window)


def _member(tweet_id: int) -> str:
    # As wide as the highest id, so that at one place the order of the texts is that of the numbers.
    return f"{tweet_id:016d}"

"""Reconciler: compares all that is derived with what it is derived from, and has what drifted put right.

A difference seen once is only a suspicion: counters follow their edges by a moment, timelines follow by seconds. So
suspects wait until whatever was under way has ended, and are judged then (datastore/quiet.py says what is exact).
Knows no rule of its own: the comparisons do.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import structlog

from datastore.compare_reserved import ReservedEmails, ReservedImports, ReservedNames, ReservedPairs
from datastore.counters import TweetCounters, UserCounters
from datastore.drift import Comparison, Drift, Kind, Look, Position
from datastore.entries import Entries
from datastore.mongo import Mongo, PyMongoError
from datastore.passes import Pass, Passes
from datastore.quiet import Quiet
from datastore.recounts import Recounts
from datastore.settings import Settings
from datastore.stated import Retweeted, TweetTexts, UserNames
from realtime import telemetry
from realtime.compare_roads import AuthorRoads, FollowFlags
from realtime.compare_timelines import ReaderTimelines, RecentLists
from realtime.compare_top_tweets import TopLists
from realtime.connect import Client, RedisError
from realtime.handlers import Rooms
from realtime.scripts import fresh_token

log = structlog.get_logger()

# Longer than a worker needs for what it has; past it the suspects are left to the next pass.
SETTLE_SECONDS = 60.0
# Suspects that wait together: a pass at full speed then waits once for many. As many ids fit a change stream's filter.
GATHERED = 500
# A suspect that was busy so often is liked or followed all the time: its counters are moved, and the next pass looks.
ROUNDS = 4
# Kinds whose repair changes a document that is shown.
SHOWN_USERS = frozenset({Kind.FOLLOWERS, Kind.FOLLOWING, Kind.TWEETS, Kind.NAMES, Kind.ROAD})
SHOWN_TWEETS = frozenset(
    {Kind.LIKES, Kind.RETWEETS, Kind.REPLIES, Kind.TERMS, Kind.MENTIONS, Kind.REPLY_AUTHOR, Kind.ENGAGEMENT}
)

Settle = Callable[[], Awaitable[None]]
# Is told the (users, tweets) whose shown documents a repair has changed: copies of them are to be dropped.
Changed = Callable[[Sequence[int], Sequence[int]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ReconcileWaits:
    """In seconds: `every` from one pass's end to the next; `pause` between two slices, `grace` until a write that began
    has ended for sure, `look` between two looks whether a pass is due, `lease` of a silent process. `slice`: documents
    or keys looked at together."""

    every: float = 6 * 3600
    pause: float = 1.0
    grace: float = 30.0
    look: float = 5.0
    slice: int = 200

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the operator has it."""
        return cls(
            every=settings.reconcile_every_seconds,
            pause=settings.reconcile_pause_seconds,
            grace=settings.reconcile_grace_seconds,
            look=settings.lease_seconds,
            slice=settings.reconcile_slice,
        )

    @property
    def lease(self) -> float:
        """Outlives the longest silence between two slices."""
        return 4 * (self.grace + self.pause) + 2 * SETTLE_SECONDS


@dataclass(slots=True)
class Report:
    """What a pass found: how many were compared by kind, and every drift. `busy`: suspects that could not be told from
    writes under way to the end."""

    compared: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    drifts: list[Drift] = field(default_factory=list)
    busy: int = 0

    @property
    def left(self) -> int:
        """Drift that is still there."""
        return sum(not drift.repaired for drift in self.drifts)

    def rows(self) -> list[tuple[str, int, int, int]]:
        """(what, compared, drifted, repaired), one for each kind."""
        found: list[tuple[str, int, int, int]] = []
        for kind in Kind:
            drifts = [drift for drift in self.drifts if drift.kind is kind]
            found.append((kind.value, self.compared[kind], len(drifts), sum(drift.repaired for drift in drifts)))
        return found


async def nobody(user_ids: Sequence[int], tweet_ids: Sequence[int]) -> None:
    """No copies are kept anywhere."""


class Reconciler:
    """Passes over everything derived. Any number of processes may run one at once: what one has repaired, the other
    finds right. `settle` gives back when every event written before it was called has been handled."""

    def __init__(
        self,
        mongo: Mongo,
        redis: Client,
        rooms: Rooms,
        settle: Settle,
        threshold: int,
        waits: ReconcileWaits,
        changed: Changed = nobody,
    ) -> None:
        self._settle = settle
        self._waits = waits
        self._changed = changed
        self._quiet = quiet = Quiet(mongo)
        self._passes = Passes(mongo, fresh_token())
        recounts, entries = Recounts(mongo), Entries(rooms.tweets, rooms.retweets)
        # In this order what is derived from another derived thing comes behind it.
        self.comparisons: Sequence[Comparison[Any]] = (
            UserCounters(mongo, recounts, quiet),
            TweetCounters(mongo, recounts, quiet),
            UserNames(mongo),
            TweetTexts(mongo),
            Retweeted(mongo),
            AuthorRoads(mongo, rooms, quiet, threshold),
            FollowFlags(mongo, rooms, quiet),
            ReaderTimelines(mongo, redis, rooms, entries, quiet),
            RecentLists(mongo, redis, rooms, entries, quiet),
            TopLists(rooms, quiet),
            # A pass that another version has begun stands at the number of a comparison: new ones come last.
            ReservedNames(mongo),
            ReservedEmails(mongo),
            ReservedPairs(mongo),
            ReservedImports(mongo),
        )

    async def run(self) -> None:
        """Sweep slowly, one process at a time, until cancelled. What fails is taken up again where it stood."""
        prepared = False
        while True:
            try:
                if not prepared:
                    await self._passes.prepare(self._waits.every)
                    prepared = True
                if at := await self._passes.take(self._waits.lease):
                    await self._sweep(at)
            except (PyMongoError, RedisError, TimeoutError) as error:
                log.warning("reconcile.interrupted", error=type(error).__name__)
            except Exception:  # a bug must not end the worker, whose other work goes on
                log.exception("reconcile.failed")
            await asyncio.sleep(self._waits.look)

    async def close(self) -> None:
        """Leave the pass to another process at once."""
        await self._passes.release()

    async def _sweep(self, at: Pass) -> None:
        report, after = Report(), at.after
        for stage in range(at.stage, len(self.comparisons)):
            comparison = self.comparisons[stage]
            async for look in self._looks(comparison, after, report):
                await self._judge(comparison, look.suspects, report, repair=True)
                if look.after is not None and not await self._passes.keep(stage, look.after, self._waits.lease):
                    return
                await asyncio.sleep(self._waits.pause)
            if not await self._passes.keep(stage + 1, None, self._waits.lease):
                return
            after = None
        await self._passes.finish(self._waits.every, len(report.drifts), report.left)
        log.info("reconcile.finished", number=at.number, drifts=len(report.drifts), left=report.left, busy=report.busy)

    async def once(self, repair: bool = True) -> Report:
        """One pass from the start, at full speed. With `repair` false it writes nothing."""
        report = Report()
        for comparison in self.comparisons:
            suspects: list[Any] = []
            async for look in self._looks(comparison, None, report):
                suspects += look.suspects
                while len(suspects) >= GATHERED or (suspects and look.after is None):
                    await self._judge(comparison, suspects[:GATHERED], report, repair)
                    suspects = suspects[GATHERED:]
        return report

    async def _looks(self, comparison: Comparison[Any], after: Position, report: Report) -> AsyncIterator[Look[Any]]:
        """Slice by slice, to the end."""
        while True:
            look = await comparison.look(after, self._waits.slice)
            for kind in comparison.kinds:
                report.compared[kind] += look.compared
                telemetry.RECONCILE_COMPARED.labels(kind).inc(look.compared)
            yield look
            if look.after is None:
                return
            after = look.after

    async def _judge(self, comparison: Comparison[Any], suspects: list[Any], report: Report, repair: bool) -> None:
        for _ in range(ROUNDS):
            if not suspects:
                return
            since = await self._quiet.now()
            # Twice: handling an event of before may have raised another one, behind the first heartbeat.
            await asyncio.gather(self._settled(2), asyncio.sleep(self._waits.grace))
            judged = await comparison.judge(suspects, since, repair)
            if judged.drifts:
                report.drifts += await self._checked(comparison, judged.drifts, repair)
            suspects = judged.busy
        report.busy += len(suspects)
        if suspects:
            log.info("reconcile.busy", comparison=comparison.name, suspects=len(suspects))

    async def _settled(self, times: int) -> None:
        async with asyncio.timeout(SETTLE_SECONDS):
            for _ in range(times):
                await self._settle()

    async def _checked(self, comparison: Comparison[Any], drifts: Sequence[Drift], repair: bool) -> list[Drift]:
        """The drifts, marked as repaired if they are, when what their repair raised has been handled."""
        done: set[tuple[int, int]] = set()
        if repair:
            await self._tell_changed(drifts)
            await self._settled(2)
            done = await comparison.repaired(drifts)
        found = [replace(drift, repaired=(drift.subject_id, drift.other_id) in done) for drift in drifts]
        for drift in found:
            telemetry.RECONCILE_DRIFT.labels(drift.kind).inc()
            event = "reconcile.repaired" if drift.repaired else "reconcile.unrepaired" if repair else "reconcile.drift"
            fields = {"id": drift.subject_id, "other": drift.other_id, "was": drift.was, "is": drift.now}
            log.warning(event, kind=drift.kind.value, **fields)
        return found

    async def _tell_changed(self, drifts: Sequence[Drift]) -> None:
        """The one place from where cached copies of what is shown are dropped after a repair."""
        users = sorted({drift.subject_id for drift in drifts if drift.kind in SHOWN_USERS})
        tweets = sorted({drift.subject_id for drift in drifts if drift.kind in SHOWN_TWEETS})
        if users or tweets:
            await self._changed(users, tweets)

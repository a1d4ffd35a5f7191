"""Purger: takes the purges that are due and runs their slices, in MongoDB and in Redis, until nothing is left.

The one thing behind the requests that writes MongoDB (design.md, I3): what it deletes was hidden by the request that
deleted the account. It needs no event and stores no progress, so a crash, a flush or a dead letter strands no purge.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import structlog

from datastore.mongo import PyMongoError
from datastore.purges import Purge, Purges
from datastore.settings import Settings
from realtime import keys, limits
from realtime.connect import Client, RedisError

log = structlog.get_logger()

# Longer than a worker needs for what it has; past it the round is given up and taken again when the lease is over.
SETTLE_SECONDS = 30.0
DEAD_LETTERS_PER_READ = 1000


@dataclass(frozen=True, slots=True)
class PurgeWaits:
    """In seconds: between two looks for what is due; of a silent purger's lease; from the first round to the last."""

    look: float = 1.0
    lease: float = 10.0
    again: float = 60.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the operator has it."""
        return cls(
            look=settings.purge_look_seconds,
            lease=2 * settings.lease_seconds,
            again=settings.purge_again_seconds,
        )


class Purger:
    """Runs for ever. Any number of processes may; a purge that two run at once is only done sooner.

    `settle` gives back when every event written before it was called has been handled.
    """

    def __init__(self, purges: Purges, redis: Client, settle: Callable[[], Awaitable[None]], waits: PurgeWaits) -> None:
        self._purges = purges
        self._redis = redis
        self._settle = settle
        self._waits = waits

    async def run(self) -> None:
        """Look, take, purge, until cancelled. A round that fails is taken again when its lease is over."""
        while True:
            try:
                while purge := await self._purges.take(_now(), timedelta(seconds=self._waits.lease)):
                    await self.round(purge)
            except (PyMongoError, RedisError, TimeoutError) as error:
                log.warning("purge.interrupted", error=type(error).__name__)
            except Exception:  # a bug must not end the worker, whose other work goes on
                log.exception("purge.failed")
            await asyncio.sleep(self._waits.look)

    async def round(self, purge: Purge) -> None:
        """All slices, in an order in which nothing new can grow behind them. Idempotent."""
        user_id = purge.user_id
        await self._purges.end_sessions(user_id)
        # The followers are needed until the deletions have been taken out of their timelines: edges come later.
        while await self._purges.delete_entries(user_id, _now()):
            await self._handled(purge)
        await self._handled(purge)
        while await self._purges.cut_edges(user_id):
            await self._keep(purge)
        await self._handled(purge)
        await self._purges.forget_keys(user_id)
        if purge.last:
            while await self._purges.forget_tombstones(user_id):
                await self._keep(purge)
        await self._forget(user_id)
        await self._close(purge)

    async def _close(self, purge: Purge) -> None:
        if purge.last:
            await self._purges.finish(purge)
            log.info("purge.finished", user=purge.user_id)
        else:
            await self._purges.once_more(purge, _now() + timedelta(seconds=self._waits.again))

    async def _handled(self, purge: Purge) -> None:
        """Wait for the events of the last slice, so that a long purge never fills the pipeline."""
        await asyncio.wait_for(self._settle(), SETTLE_SECONDS)
        await self._keep(purge)

    async def _keep(self, purge: Purge) -> None:
        await self._purges.keep(purge, _now() + timedelta(seconds=self._waits.lease))

    async def _forget(self, user_id: int) -> None:
        """Every Redis key whose name or value holds the id. Event streams are trimmed by the relay."""
        await self._redis.unlink(*keys.of_user(user_id), *limits.keys_of(user_id))
        await self._forget_announced(user_id)
        start = "-"
        while letters := await self._dead_letters(start):
            if about := [entry_id for entry_id, fields in letters if _names(fields, user_id)]:
                await self._redis.xdel(keys.DEAD_LETTERS, *about)
            start = f"({letters[-1][0]}"

    async def _forget_announced(self, user_id: int) -> None:
        """Their entries leave the shared stream of top users. It breaks the chain there, so that who has not read so
        far is told to resync."""
        found: Any = await self._redis.xrange(keys.TOP_STREAM)
        if about := [entry_id for entry_id, fields in found if _names(fields, user_id)]:
            await self._redis.xdel(keys.TOP_STREAM, *about)

    async def _dead_letters(self, start: str) -> list[tuple[str, dict[str, str]]]:
        found: Any = await self._redis.xrange(keys.DEAD_LETTERS, start, "+", DEAD_LETTERS_PER_READ)
        return list(found)


def _names(fields: dict[str, str], user_id: int) -> bool:
    return any(str(user_id) in value for value in fields.values())


def _now() -> datetime:
    return datetime.now(UTC)

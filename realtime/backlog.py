"""Backlog: how far the pipeline is behind, and whether anybody relays; for probes and metrics. Moves nothing."""

import time
from dataclasses import asdict, dataclass

from redis.exceptions import ResponseError

from datastore.changes import Changes
from realtime import keys, telemetry
from realtime.connect import Client


@dataclass(frozen=True, slots=True)
class Backlog:
    """Over all partitions: events `waiting` that no worker has taken, `pending` ones that are taken and not handled,
    the age of the oldest of either, those set aside; and how long ago a relay last said that it leads."""

    waiting: int
    pending: int
    oldest_seconds: float
    dead_letters: int
    relay_seconds: float

    def export(self) -> dict[str, float]:
        """As metrics, and as what a probe reports."""
        figures: dict[str, float] = asdict(self)
        for name, value in figures.items():
            telemetry.BACKLOG.labels(name).set(value)
        return figures


async def backlog(changes: Changes, redis: Client, streams: list[str]) -> Backlog:
    """As it is now. Two round trips a stream. Raises while either store is away."""
    waiting = pending = 0
    oldest_ms = now_ms = time.time_ns() // 1_000_000
    for stream in streams:
        try:
            (group,) = await redis.xinfo_groups(stream)
            taken = await redis.xpending(stream, keys.GROUP)
        except ResponseError:
            # A flush: the relay is about to fill it again.
            continue
        waiting += group["lag"] or 0
        pending += group["pending"]
        first = taken["min"] if taken["pending"] else None
        if first is None and group["lag"]:
            behind = await redis.xrange(stream, f"({group['last-delivered-id']}", "+", 1)
            first = behind[0][0] if behind else None
        if first:
            oldest_ms = min(oldest_ms, int(first.partition("-")[0]))
    dead = await redis.xlen(keys.DEAD_LETTERS)
    return Backlog(waiting, pending, (now_ms - oldest_ms) / 1000, dead, await changes.leaderless_seconds())

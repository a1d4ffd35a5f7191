"""Doctor: what is well and what is not with Redis and with what follows. Looks only; changes and repairs nothing."""

import time
from dataclasses import replace
from typing import Any

from redis.exceptions import ResponseError

from datastore.changes import Changes
from datastore.findings import Check, Finding, Verdict, clock, graded, looked, ok, reason, warning, wrong
from datastore.passes import Passes
from datastore.settings import Settings
from realtime import keys
from realtime.backlog import backlog
from realtime.cluster import Cluster
from realtime.connect import Client, RedisError
from realtime.slots import slot_of

# Sharded pub/sub came with it.
OLDEST = (7, 0)
# Of its memory or its connections: beyond it a burst does not fit.
NEARLY_FULL, FULL = 0.8, 0.95


async def redis_doctors(redis: Client) -> "list[RedisDoctor]":
    """One for the Redis of these settings; of a cluster one for each primary, that of the events first. Without any
    where the cluster cannot be asked who they are: then one for all of it, which will say so."""
    if not isinstance(redis, Cluster):
        return [RedisDoctor(redis)]
    try:
        first = await redis.slots.owner(slot_of(keys.RELAY_MARK))
        others = [address for address in await redis.slots.of_each() if address != first]
    except RedisError:
        return [RedisDoctor(redis)]
    found = [RedisDoctor(redis.slots.node(first))]
    return found + [RedisDoctor(redis.slots.node((host, port)), f"{host}:{port}") for host, port in others]


class RedisDoctor:
    """All findings about one server. Those of a cluster that hold no events may forget what they hold, and have their
    address as `apart` in the names of what is found."""

    def __init__(self, redis: Client, apart: str = "") -> None:
        self._redis = redis
        self._apart = apart
        self._info: dict[str, Any] = {}

    async def findings(self) -> list[Finding]:
        """In order; only the first where it does not answer."""
        found = await self._found()
        return [replace(one, name=f"{one.name} {self._apart}") for one in found] if self._apart else found

    async def _found(self) -> list[Finding]:
        reached = await looked({"redis.answers": self._answers})
        if reached[0].verdict is not Verdict.OK:
            told, todo = f"it does not answer: {reason(reached[0])}", "see REDIS_URL and the network"
            return [wrong("redis.answers", told, todo)]
        kept: dict[str, Check] = {"redis.eviction": self._eviction, "redis.persistence": self._persistence}
        checks: dict[str, Check] = {
            "redis.version": self._version,
            "redis.memory": self._memory,
            "redis.notifications": self._notifications,
            "redis.connections": self._connections,
            "redis.clock": self._clock,
        }
        return [*reached, *await looked(checks if self._apart else kept | checks)]

    async def _answers(self) -> Finding:
        self._info = await self._redis.info()
        role = self._info.get("role")
        return graded("redis.answers", f"a {role} answers", "REDIS_URL names a replica", is_wrong=role != "master")

    async def _config(self, name: str) -> str:
        return str((await self._redis.config_get(name))[name])

    async def _version(self) -> Finding:
        server = "valkey" if "valkey_version" in self._info else "redis"
        version = str(self._info[f"{server}_version"])
        is_old = tuple(int(part) for part in version.split(".")[:2]) < OLDEST
        return graded("redis.version", f"{server} {version}", "install Redis 7 or Valkey 8, or later", is_wrong=is_old)

    async def _eviction(self) -> Finding:
        """What has no TTL must stay: events, dead letters, the relay's mark. All else can be made again."""
        policy = await self._config("maxmemory-policy")
        todo = "set noeviction, or volatile-lru: another one throws away events and dead letters, which have no TTL"
        return graded("redis.eviction", policy, todo, is_wrong=policy.startswith("allkeys"))

    async def _memory(self) -> Finding:
        limit, used = int(self._info["maxmemory"]), int(self._info["used_memory"])
        told = f"{used / 2**20:,.0f} MiB of {f'{limit / 2**20:,.0f} MiB' if limit else 'no limit'}"
        todo = "set maxmemory to three quarters of the machine's, and watch it: full, it takes no more events"
        full = used / limit if limit else 0
        return graded("redis.memory", told, todo, is_wrong=full > FULL, is_doubtful=not limit or full > NEARLY_FULL)

    async def _persistence(self) -> Finding:
        log = await self._config("appendonly")
        todo = "set appendonly yes: a restart would rewind the relay, and forget the dead letters for good"
        return graded("redis.persistence", f"appendonly {log}", todo, is_doubtful=log != "yes")

    async def _notifications(self) -> Finding:
        kinds = await self._config("notify-keyspace-events")
        todo = "set notify-keyspace-events to nothing: Perch listens to none, and each costs a publish"
        return graded("redis.notifications", kinds or "off", todo, is_doubtful=bool(kinds))

    async def _connections(self) -> Finding:
        there, most = int(self._info["connected_clients"]), int(self._info["maxclients"])
        todo = "raise maxclients: a server process takes up to 250, a worker 50"
        full = there / most
        told = f"{there} of {most}"
        return graded("redis.connections", told, todo, is_wrong=full > FULL, is_doubtful=full > NEARLY_FULL)

    async def _clock(self) -> Finding:
        began = time.time()
        seconds, microseconds = await self._redis.time()
        return clock("redis.clock", seconds + microseconds / 1e6, (began + time.time()) / 2)


class PipelineDoctor:
    """All findings about what brings events from MongoDB to Redis. Both stores answer."""

    def __init__(self, changes: Changes, redis: Client, settings: Settings) -> None:
        self._changes, self._redis, self._settings = changes, redis, settings

    async def findings(self) -> list[Finding]:
        """In order."""
        checks: dict[str, Check] = {
            "pipeline.relay": self._relay,
            "pipeline.workers": self._workers,
            "pipeline.backlog": self._backlog,
            "pipeline.dead_letters": self._dead_letters,
            "pipeline.drift": self._drift,
        }
        return await looked(checks)

    async def _relay(self) -> Finding:
        seconds, patience = await self._changes.leaderless_seconds(), 3 * self._settings.lease_seconds
        told = f"led {seconds:.1f} s ago" if seconds != float("inf") else "none has ever led"
        return graded(
            "pipeline.relay", told, "start a worker: nothing follows without one", is_wrong=seconds > patience
        )

    async def _workers(self) -> Finding:
        now_ms = int((await self._redis.time())[0]) * 1000
        alive = await self._redis.zcount(keys.WORKERS, now_ms, "+inf")
        leases = [keys.lease(partition) for partition in range(self._settings.partitions)]
        held = await self._redis.exists(*leases)
        told = f"{alive} alive, holding {held} of {len(leases)} partitions"
        few = self._settings.profile == "production" and alive < 2
        todo = "run two or more of `python -m app work`, with the same PARTITIONS as everywhere"
        return graded("pipeline.workers", told, todo, is_wrong=not alive, is_doubtful=few or held < len(leases))

    async def _backlog(self) -> Finding:
        name = "pipeline.backlog"
        streams = [keys.events(partition) for partition in range(self._settings.partitions)]
        try:
            behind = await backlog(self._changes, self._redis, streams)
        except ResponseError as error:
            return warning(name, f"could not be read: {error}", "look again in a minute")
        told = f"{behind.waiting:,} wait, {behind.pending:,} taken, the oldest {behind.oldest_seconds:.1f} s old"
        late = behind.oldest_seconds
        todo = "start more workers, up to PARTITIONS; see worker.waiting and worker.event_failed in their logs"
        return graded(name, told, todo, is_wrong=late > 60, is_doubtful=late > 10)

    async def _dead_letters(self) -> Finding:
        count = await self._redis.xlen(keys.DEAD_LETTERS)
        todo = "python -m app dead-letters list, then retry or drop"
        return graded("pipeline.dead_letters", f"{count:,}", todo, is_doubtful=bool(count))

    async def _drift(self) -> Finding:
        last, name = await Passes(self._changes.mongo, "").last(), "pipeline.drift"
        if last is None:
            return ok(name, "no pass has ended yet")
        told = f"{last.drifted:,} in the last pass, {last.left:,} left, {last.ended_seconds_ago / 3600:.1f} h ago"
        todo = "python -m app reconcile; drift that comes back is a bug, and reconcile.repaired in the logs names it"
        stale = last.ended_seconds_ago > 4 * self._settings.reconcile_every_seconds
        return graded(name, told, todo, is_wrong=last.left > 0, is_doubtful=last.drifted > 0 or stale)

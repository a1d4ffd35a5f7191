"""Primaries: sees to it that no primary of a Redis Cluster serves what it may have missed. Nothing to do on one server.

A primary misses writes when workers went on without it (realtime/cluster.py notes its slots), and when it is another
server than before: a replica that was promoted may lack the last of them, and so may one that was restarted. Since all
that it misses can be rebuilt, it is emptied of that; its readers are told to resync, and those of the others are not
disturbed. The events' primary is looked after by the relay itself, which begins again at its watermark.
"""

import asyncio
from collections.abc import AsyncIterator

import structlog

from realtime import keys
from realtime.cluster import Cluster
from realtime.connect import Client, RedisError
from realtime.scripts import UNLINKED_AT_ONCE, unlink_all
from realtime.slots import Address

log = structlog.get_logger()


class Primaries:
    """Kept by the relay that leads. What it has begun is finished by its successor."""

    def __init__(self, redis: Client) -> None:
        self._cluster = redis if isinstance(redis, Cluster) else None
        self._redis = redis

    async def keep(self, every_seconds: float) -> None:
        """Look and clear until cancelled; returns at once on one server. Raises while the events' primary is away."""
        while self._cluster:
            await self.look(self._cluster)
            await asyncio.sleep(every_seconds)

    async def look(self, cluster: Cluster) -> None:
        """One look: note the slots of primaries that are others than before, and empty those whose slots are noted."""
        await cluster.slots.refresh()
        owned = await cluster.slots.of_each()
        known = await self._redis.hgetall(keys.PRIMARIES)
        answers = await asyncio.gather(*(self._run_id(cluster, address) for address in owned))
        ids = {cluster.slots.id_of(address): (address, run_id) for address, run_id in zip(owned, answers, strict=True)}
        for node_id, (address, run_id) in ids.items():
            if run_id and known.get(node_id) != run_id:
                # Before all else were seen: the first look of all, or the one after a flush.
                if known:
                    log.warning("cluster.other_primary", slots=len(owned[address]))
                    await self._redis.sadd(keys.MISSED, *map(str, owned[address]))
                await self._redis.hset(keys.PRIMARIES, node_id, run_id)
        # A primary that was replaced and is one again later is another by then, even if it never stopped.
        if gone := known.keys() - ids.keys():
            await self._redis.hdel(keys.PRIMARIES, *gone)
        await self._clear(cluster, owned)

    async def _run_id(self, cluster: Cluster, address: Address) -> str:
        try:
            return str((await cluster.slots.node(address).info("server"))["run_id"])
        except RedisError:
            return ""

    async def _clear(self, cluster: Cluster, owned: dict[Address, list[int]]) -> None:
        """Empty what was noted so far. What is noted meanwhile stays noted, and so does what cannot be reached."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.sunionstore(keys.CLEARING, [keys.CLEARING, keys.MISSED])
            pipe.delete(keys.MISSED)
            pipe.smembers(keys.CLEARING)
            noted = {int(slot) for slot in (await pipe.execute())[2]}
        for address, slots in owned.items():
            missed = noted.intersection(slots)
            try:
                if missed:
                    await self._empty(cluster, address)
                    await self._redis.srem(keys.CLEARING, *map(str, missed))
            except RedisError as error:
                log.warning("cluster.uncleared", error=type(error).__name__)

    async def _empty(self, cluster: Cluster, address: Address) -> None:
        async def derived() -> AsyncIterator[str]:
            async for name in cluster.slots.node(address).scan_iter(count=UNLINKED_AT_ONCE):
                if name.partition(":")[0] in keys.DERIVED:
                    yield name

        await unlink_all(self._redis, derived())
        log.warning("cluster.emptied")

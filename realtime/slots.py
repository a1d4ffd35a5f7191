"""Slots: which primary of a Redis Cluster has which, and a client for each. Sends nothing but the question.

Learns from whoever is told to ask elsewhere (`moved`) and from whoever doubts; may be wrong at any moment, and then the
server that is asked says so.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from functools import lru_cache
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, RedisError

log = structlog.get_logger()

# The slots are asked for again at most so often while servers fail.
REFRESH_SECONDS = 0.1

T = TypeVar("T")
Address = tuple[str, int]


def slot_of(name: str) -> int:
    """The slot of a key or a sharded channel."""
    start = name.find("{")
    end = name.find("}", start + 1)
    return _slot(name[start + 1 : end] if 0 <= start < end - 1 else name)


@lru_cache(4096)
def _slot(tag: str) -> int:
    return int(key_slot(tag.encode()))


def by_slot(items: Iterable[T], name_of: Callable[[T], str]) -> list[list[T]]:
    """The items whose keys are of one slot together, each in their order."""
    groups: dict[int, list[T]] = {}
    for item in items:
        groups.setdefault(slot_of(name_of(item)), []).append(item)
    return list(groups.values())


class Slots:
    """What one client knows. `version` moves whenever it learns of another owner of anything."""

    def __init__(self, seeds: Sequence[Address], open_node: Callable[[Address], Redis]) -> None:
        self._seeds = list(seeds)
        self._open_node = open_node
        # Any: redis-py does not say what execute_command takes.
        self._nodes: dict[Address, Any] = {}
        self._owners: list[Address | None] = []
        self._ids: dict[Address, str] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed = float("-inf")
        self.version = 0

    def node(self, address: Address) -> Any:
        """The client of one server."""
        if address not in self._nodes:
            self._nodes[address] = self._open_node(address)
        return self._nodes[address]

    async def owner(self, slot: int) -> Address:
        """Where the primary of a slot is, as far as is known. Raises RedisConnectionError if nobody has it."""
        if not self._owners:
            await self.refresh()
        owner = self._owners[slot]
        if owner is None:
            self.doubt()
            raise RedisConnectionError("no primary has this slot")
        return owner

    async def of_each(self) -> dict[Address, list[int]]:
        """The slots of each primary."""
        if not self._owners:
            await self.refresh()
        found: dict[Address, list[int]] = {}
        for slot, owner in enumerate(self._owners):
            if owner:
                found.setdefault(owner, []).append(slot)
        return found

    def id_of(self, address: Address) -> str:
        """What the cluster calls this primary, wherever it is."""
        return self._ids.get(address, "")

    def moved(self, moved: MovedError, told_by: Address) -> None:
        """Believe a server that has the slot no longer."""
        self._owners[moved.slot_id] = (moved.host or told_by[0], moved.port)
        self.version += 1
        self.doubt()

    def doubt(self) -> None:
        """Have it looked up soon who has what; idempotent."""
        if self._refreshing is None and time.monotonic() > self._refreshed + REFRESH_SECONDS:
            self._begin_refresh()

    async def refresh(self) -> None:
        """Look up who has what now, once however many ask. Raises RedisConnectionError if nobody tells."""
        await asyncio.shield(self._refreshing or self._begin_refresh())

    def _begin_refresh(self) -> asyncio.Task[None]:
        # In a context of its own: the deadline of who happened to ask is not that of the others.
        task = asyncio.create_task(self._refresh(), context=Context())
        self._refreshing = task
        task.add_done_callback(self._end_refresh)
        return task

    def _end_refresh(self, task: asyncio.Task[None]) -> None:
        self._refreshing, self._refreshed = None, time.monotonic()
        if not task.cancelled() and (error := task.exception()):
            log.warning("cluster.unknown", error=type(error).__name__)

    async def _refresh(self) -> None:
        known = [*dict.fromkeys([*filter(None, self._owners), *self._seeds])]
        for address in random.sample(known, len(known)):
            try:
                self._learn(await self.node(address).execute_command("CLUSTER SLOTS"), address)
                return
            except RedisError:
                continue
        raise RedisConnectionError("no server of the cluster answers")

    def _learn(self, ranges: Sequence[Any], told_by: Address) -> None:
        owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, (host, port, node_id, *_), *_ in ranges:
            # A server that does not know its own name leaves it out.
            address = (host if host not in ("", "?", None) else told_by[0], port)
            self._ids[address] = node_id
            owners[first : last + 1] = [address] * (last + 1 - first)
        self.version += owners != self._owners
        self._owners = owners

    async def aclose(self) -> None:
        """Close every connection."""
        if self._refreshing:
            self._refreshing.cancel()
        for node in self._nodes.values():
            await node.aclose()

"""Cluster: the primaries of a Redis Cluster as one client. Sends each command to the primary of its key's slot and goes
after slots that move; keeps the order of one slot, and promises none between two.

Not redis-py's RedisCluster: there, one server that does not answer holds up what others could answer, and whoever asks
waits through its retries. Here every primary has a client of its own (realtime/connect.py), with its time limit and
its breaker, so that one of them being away costs its own keys only.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextvars import Context
from functools import lru_cache
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from realtime import keys

log = structlog.get_logger()

# A slot that moves is somewhere else once or twice, never five times in one breath.
REDIRECTS = 5
# The slots are asked for again at most so often while servers fail.
REFRESH_SECONDS = 0.1
# Without a key. These go to every primary; what is not here goes to the one that has the events.
EVERYWHERE = {"PING", "FLUSHDB", "FLUSHALL", "SCRIPT FLUSH", "CLIENT KILL", "DBSIZE", "KEYS"}
OF_ONE = {"INFO", "CONFIG GET", "TIME", "CLUSTER INFO", "CLUSTER SLOTS", "COMMAND", "LATENCY LATEST", "CLIENT LIST"}

T = TypeVar("T")
Address = tuple[str, int]
# The words of a command and what redis-py needs to read its answer.
Command = tuple[tuple[Any, ...], dict[str, Any]]
AWAY = (RedisConnectionError, RedisTimeoutError, ClusterDownError)


class RefusedError(RedisConnectionError):
    """A breaker let nothing through: the server has not answered lately."""


def slot_of(name: str) -> int:
    """The slot of a key or a sharded channel."""
    start = name.find("{")
    end = name.find("}", start + 1)
    return _slot(name[start + 1 : end] if 0 <= start < end - 1 else name)


@lru_cache(4096)
def _slot(tag: str) -> int:
    return int(key_slot(tag.encode()))


class Cluster(Redis):
    """What redis-py's client does, on many servers. With `spares`, for workers: a pipeline passes over a primary that
    was given up, answers None for it and notes its slots at the events' primary, before anything can be acknowledged
    (realtime/primaries.py empties it when it answers again)."""

    def __init__(self, seeds: Sequence[Address], open_node: Callable[[Address], Redis], spares: bool = False) -> None:
        super().__init__()  # never asked: what it inherits are the names of commands
        self._seeds = list(seeds)
        self._open_node = open_node
        self._spares = spares
        # Any: redis-py does not say what execute_command takes.
        self._nodes: dict[Address, Any] = {}
        self._owners: list[Address | None] = []
        self._ids: dict[Address, str] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed = float("-inf")

    # Commands

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        name = str(args[0])
        if name in EVERYWHERE:
            return _joined([await node.execute_command(*args, **options) for node in await self.primaries()])
        slot = slot_of(keys.RELAY_MARK) if name in OF_ONE else _slot_of_command(args)
        for _ in range(REDIRECTS):
            address = await self.owner(slot)
            try:
                return await self.node(address).execute_command(*args, **options)
            except MovedError as moved:
                self._moved(moved, address)
            except AskError as asked:
                return await self._ask(asked, address, args, options)
            except AWAY:
                self.doubt()
                raise
        raise RedisConnectionError("a slot moved on and on")

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        made = _ClusterPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.servers = self
        return made

    async def unlink(self, *names: Any) -> Any:
        """How many there were, wherever they are."""
        async with self.pipeline(transaction=False) as pipe:
            pipe.unlink(*names)
            return sum(count or 0 for count in await pipe.execute())

    async def scan_iter(self, *args: Any, **options: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        """Over all primaries, one after the other."""
        for node in await self.primaries():
            async for name in node.scan_iter(*args, **options):
                yield name

    async def execute_each(self, commands: Sequence[Command], transaction: bool) -> list[Any]:
        """The answers in order of the commands, an exception where one failed. Sent to all primaries at once, those of
        one primary together and in their order; with `transaction` all must be of one slot."""
        if transaction:
            return await self._transact(commands)
        groups: dict[Address, list[int]] = {}
        for at, (args, _) in enumerate(commands):
            groups.setdefault(await self.owner(_slot_of_command(args)), []).append(at)
        answers: list[Any] = [None] * len(commands)
        parts = [self._execute_on(address, [commands[at] for at in group]) for address, group in groups.items()]
        # Alone it needs no task of its own.
        done = [await parts[0]] if len(parts) == 1 else await asyncio.gather(*parts)
        for group, part in zip(groups.values(), done, strict=True):
            for at, answer in zip(group, part, strict=True):
                answers[at] = answer
        return await self._spared(commands, answers) if self._spares else answers

    async def _execute_on(self, address: Address, commands: Sequence[Command]) -> list[Any]:
        pipe = self.node(address).pipeline(transaction=False)
        pipe.command_stack = list(commands)
        try:
            answers = list(await pipe.execute(raise_on_error=False))
        except RedisError as error:
            self.doubt()
            return [error] * len(commands)
        for at, answer in enumerate(answers):
            if isinstance(answer, AskError):
                if isinstance(answer, MovedError):
                    self._moved(answer, address)
                args, options = commands[at]
                try:
                    answers[at] = await self.execute_command(*args, **options)
                except RedisError as error:
                    answers[at] = error
        return answers

    async def _transact(self, commands: Sequence[Command]) -> list[Any]:
        slots = {_slot_of_command(args) for args, _ in commands}
        if len(slots) != 1:
            raise RedisError("a transaction is of one slot")
        for _ in range(REDIRECTS):
            address = await self.owner(*slots)
            pipe = self.node(address).pipeline(transaction=True)
            pipe.command_stack = list(commands)
            try:
                return list(await pipe.execute(raise_on_error=False))
            except MovedError as moved:
                self._moved(moved, address)
            except AWAY:
                self.doubt()
                raise
        raise RedisConnectionError("a slot moved on and on")

    async def _spared(self, commands: Sequence[Command], answers: list[Any]) -> list[Any]:
        missed: set[int] = set()
        for at, answer in enumerate(answers):
            slot = _slot_of_command(commands[at][0])
            if isinstance(answer, RefusedError) and slot != slot_of(keys.MISSED):
                missed.add(slot)
                answers[at] = None
        if missed:
            log.warning("cluster.passed_over", slots=len(missed))
            await self.sadd(keys.MISSED, *map(str, missed))
        return answers

    async def _ask(self, asked: AskError, address: Address, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """A key of a slot that is being moved key by key, and which has gone already."""
        pipe = self.node((asked.host or address[0], asked.port)).pipeline(transaction=False)
        pipe.execute_command("ASKING")
        pipe.execute_command(*args, **options)
        return (await pipe.execute())[1]

    # Who has what

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

    async def slots(self) -> dict[Address, list[int]]:
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

    async def primaries(self) -> list[Any]:
        """A client for each."""
        return [self.node(address) for address in await self.slots()]

    def _moved(self, moved: MovedError, told_by: Address) -> None:
        self._owners[moved.slot_id] = (moved.host or told_by[0], moved.port)
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
        self._owners = owners

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close every connection."""
        if self._refreshing:
            self._refreshing.cancel()
        for node in self._nodes.values():
            await node.aclose(close_connection_pool)


class _ClusterPipeline(Pipeline):
    """Gathers as redis-py's does."""

    servers: Cluster

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands: list[Any] = self.command_stack
        self.command_stack = []
        answers = await self.servers.execute_each(commands, self.is_transaction) if commands else []
        for answer in answers:
            if raise_on_error and isinstance(answer, Exception):
                raise answer
        return answers

    def unlink(self, *names: Any) -> Any:
        """One command for each slot."""
        for group in by_slot(names, str):
            self.execute_command("UNLINK", *group)
        return self


def by_slot(items: Iterable[T], name_of: Callable[[T], str]) -> list[list[T]]:
    """The items whose keys are of one slot together, each in their order."""
    groups: dict[int, list[T]] = {}
    for item in items:
        groups.setdefault(slot_of(name_of(item)), []).append(item)
    return list(groups.values())


def _slot_of_command(args: Sequence[Any]) -> int:
    """By its first key; whoever gives more of them gives them of one slot."""
    name = args[0]
    if name in ("EVALSHA", "EVAL"):
        return slot_of(str(args[3]))
    if name in ("XREADGROUP", "XREAD"):
        return slot_of(str(args[args.index(b"STREAMS") + 1]))
    if name == "SCAN":
        raise RedisError("SCAN walks over one server: ask each primary")
    return slot_of(str(args[1]))


def _joined(answers: Sequence[Any]) -> Any:
    """Of all primaries: counted together, listed together, or what the first one says."""
    first = answers[0]
    if isinstance(first, list):
        return [one for answer in answers for one in answer]
    return sum(answers) if isinstance(first, int) and not isinstance(first, bool) else first

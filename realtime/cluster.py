"""Cluster: the primaries of a Redis Cluster as one client. Sends each command to the primary of its key's slot and goes
after slots that move; keeps the order of one slot, and promises none between two.

Not redis-py's RedisCluster: there, one server that does not answer holds up what others could answer, and whoever asks
waits through its retries. Here every primary has a client of its own (realtime/connect.py), with its time limit and
its breaker, so that one of them being away costs its own keys only.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ClusterDownError, MovedError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from realtime import keys
from realtime.slots import Address, Slots, by_slot, slot_of

log = structlog.get_logger()

# A slot that moves is somewhere else once or twice, never five times in one breath.
REDIRECTS = 5
# Without a key. These go to every primary; what is not here goes to the one that has the events.
EVERYWHERE = {"PING", "FLUSHDB", "FLUSHALL", "SCRIPT FLUSH", "CLIENT KILL", "DBSIZE", "KEYS"}
OF_ONE = {"INFO", "CONFIG GET", "TIME", "CLUSTER INFO", "CLUSTER SLOTS", "COMMAND", "LATENCY LATEST", "CLIENT LIST"}

# The words of a command and what redis-py needs to read its answer.
Command = tuple[tuple[Any, ...], dict[str, Any]]
AWAY = (RedisConnectionError, RedisTimeoutError, ClusterDownError)


class RefusedError(RedisConnectionError):
    """A breaker let nothing through: the server has not answered lately."""


class Cluster(Redis):
    """What redis-py's client does, on many servers. With `spares`, for workers: a pipeline passes over a primary that
    was given up, answers None for it and notes its slots at the events' primary, before anything can be acknowledged
    (realtime/primaries.py empties it when it answers again)."""

    def __init__(self, seeds: Sequence[Address], open_node: Callable[[Address], Redis], spares: bool = False) -> None:
        super().__init__()  # never asked: what it inherits are the names of commands
        self.slots = Slots(seeds, open_node)
        self._spares = spares

    # Commands

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        name = str(args[0])
        if name in EVERYWHERE:
            return await self._everywhere(args, options)
        if name.startswith("PUBSUB"):
            # Only looks, and no server says that a channel is elsewhere by now.
            await self.slots.refresh()
        slot = slot_of(keys.RELAY_MARK) if name in OF_ONE else _slot_of_command(args)
        for _ in range(REDIRECTS):
            address = await self.slots.owner(slot)
            try:
                return await self.slots.node(address).execute_command(*args, **options)
            except MovedError as moved:
                self.slots.moved(moved, address)
            except AWAY:
                self.slots.doubt()
                raise
        raise RedisConnectionError("a slot moved on and on")

    async def _everywhere(self, args: Sequence[Any], options: dict[str, Any]) -> Any:
        try:
            return _joined([await node.execute_command(*args, **options) for node in await self.primaries()])
        except (*AWAY, ReadOnlyError):
            # Perhaps one that is a primary no longer; without a key it does not say so.
            await self.slots.refresh()
            return _joined([await node.execute_command(*args, **options) for node in await self.primaries()])

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
            groups.setdefault(await self.slots.owner(_slot_of_command(args)), []).append(at)
        answers: list[Any] = [None] * len(commands)
        parts = [self._execute_on(address, [commands[at] for at in group]) for address, group in groups.items()]
        # Alone it needs no task of its own.
        done = [await parts[0]] if len(parts) == 1 else await asyncio.gather(*parts)
        for group, part in zip(groups.values(), done, strict=True):
            for at, answer in zip(group, part, strict=True):
                answers[at] = answer
        return await self._spared(commands, answers) if self._spares else answers

    async def _execute_on(self, address: Address, commands: Sequence[Command]) -> list[Any]:
        pipe = self.slots.node(address).pipeline(transaction=False)
        pipe.command_stack = list(commands)
        try:
            answers = list(await pipe.execute(raise_on_error=False))
        except RedisError as error:
            self.slots.doubt()
            return [error] * len(commands)
        for at, answer in enumerate(answers):
            if isinstance(answer, MovedError):
                self.slots.moved(answer, address)
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
            address = await self.slots.owner(*slots)
            pipe = self.slots.node(address).pipeline(transaction=True)
            pipe.command_stack = list(commands)
            try:
                return list(await pipe.execute(raise_on_error=False))
            except MovedError as moved:
                self.slots.moved(moved, address)
            except AWAY:
                self.slots.doubt()
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

    async def primaries(self) -> list[Any]:
        """A client for each."""
        return [self.slots.node(address) for address in await self.slots.of_each()]

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close every connection."""
        await self.slots.aclose()


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


# NOTE: nobody is followed to a slot that arrives key by key (ASK). There a script finds a timeline that has come and
# misses the presence that has not, and its event would never be numbered: it waits until the slot has arrived.
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

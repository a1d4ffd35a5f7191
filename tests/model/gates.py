"""Gates: MongoDB's collections and a Redis client whose every command is one step of the scheduler. Real servers; the
commands are sent without asyncio, so that a step has happened when it returns."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.connection import Connection

from datastore.mongo import Mongo

Gate = Callable[[str], Awaitable[None]]
# (collection) has just been written to.
Written = Callable[[str], None]
# (channel, data) has just been published.
Published = Callable[[str, str], None]

_WRITES = ("insert", "update", "delete", "find_one_and", "replace", "bulk")


class GatedMongo:
    """Stands for datastore.mongo.Mongo where rooms want its collections. `real` is one with the plain driver behind
    it (Motor's is), which is called without its threads."""

    def __init__(self, real: Mongo, gate: Gate, written: Written) -> None:
        # Acknowledged by the one server and not by its journal: here nothing ever loses power.
        self._database: Any = real.client.delegate.get_database(real.db.name)
        self._gate, self._written = gate, written

    def __getattr__(self, name: str) -> "_Collection":
        return _Collection(self._database[name], self._gate, self._written)


class _Collection:
    def __init__(self, real: Any, gate: Gate, written: Written) -> None:
        self._real, self._gate, self._written = real, gate, written

    def find(self, *args: Any, **more: Any) -> "_Cursor":
        return _Cursor(lambda: self._real.find(*args, **more), f"{self._real.name}.find", self._gate)

    def aggregate(self, *args: Any, **more: Any) -> "_Cursor":
        return _Cursor(lambda: self._real.aggregate(*args, **more), f"{self._real.name}.aggregate", self._gate)

    def __getattr__(self, command: str) -> Callable[..., Awaitable[Any]]:
        async def run(*args: Any, **more: Any) -> Any:
            await self._gate(f"{self._real.name}.{command}")
            answer = getattr(self._real, command)(*args, **more)
            if command.startswith(_WRITES):
                self._written(self._real.name)
            return answer

        return run


class _Cursor:
    """All that a query finds, read in one step."""

    def __init__(self, find: Callable[[], Any], label: str, gate: Gate) -> None:
        self._find, self._label, self._gate = find, label, gate
        self._shape: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., "_Cursor"]:
        def shaped(*args: Any) -> "_Cursor":
            self._shape.append((name, args))
            return self

        return shaped

    async def to_list(self, _length: int | None = None) -> list[Any]:
        await self._gate(self._label)
        cursor = self._find()
        for name, args in self._shape:
            cursor = getattr(cursor, name)(*args)
        return list(cursor)

    async def __aiter__(self) -> AsyncIterator[Any]:
        for doc in await self.to_list():
            yield doc


class Line:
    """A connection for commands and one that listens to channels, to one Redis, both without asyncio."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._commands, self._heard = (
            Connection(address.hostname or "", address.port or 0, decode_responses=True, protocol=2) for _ in range(2)
        )
        self._commands.connect()
        self._heard.connect()
        self._loaded: set[str] = set()
        # In a small world streams have few events: cut them exactly and not by whole nodes of a hundred.
        self.send("CONFIG", "SET", "stream-node-max-entries", 1)

    def send(self, *command: Any) -> Any:
        """The answer to a command. Raises what Redis refuses."""
        # MongoDB's integers are of a class of their own, which this connection does not take.
        self._commands.send_command(*(int(part) if isinstance(part, int) else part for part in command))
        return self._commands.read_response()

    def load(self, script: str) -> None:
        """Load a script, once."""
        if script not in self._loaded:
            self._loaded.add(script)
            self.send("SCRIPT", "LOAD", script)

    def listen(self, channels: list[str]) -> None:
        """Hear these channels and no others from here on."""
        self._heard.send_command("SUNSUBSCRIBE")
        self.heard()
        self._heard.send_command("SSUBSCRIBE", *channels)
        self.heard()

    def heard(self) -> list[tuple[str, str]]:
        """(channel, data) of all that was published since the last call, in order."""
        self._heard.send_command("PING")
        messages = []
        while (answer := self._heard.read_response()) != "PONG" and answer[0] != "pong":
            if answer[0] == "smessage":
                messages.append((answer[1], answer[2]))
        return messages

    def close(self) -> None:
        self._commands.disconnect()
        self._heard.disconnect()


class GatedRedis(Redis):
    """redis-py's client with a Line instead of its network. Each command of a pipeline is a step: only transactions
    are atomic, and Perch has none."""

    def __init__(self, line: Line, gate: Gate, published: Published) -> None:
        super().__init__(decode_responses=True, protocol=2)
        self._line, self._gate, self._published = line, gate, published

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        await self._gate(f"redis {args[0]} {' '.join(map(str, args[3:9]))}" if args[0] == "EVALSHA" else f"redis {args}")
        answer = self._line.send(*args)
        if args[0] in ("EVALSHA", "EVAL", "SPUBLISH"):
            for message in self._line.heard():
                self._published(*message)
        callback = self.response_callbacks.get(args[0])
        return callback(answer, **options) if callback else answer

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        assert not transaction
        return _GatedPipeline(self)


class _GatedPipeline(Pipeline):
    def __init__(self, redis: GatedRedis) -> None:
        super().__init__(redis.connection_pool, redis.response_callbacks, False, None)
        self._redis = redis

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack, self.command_stack = self.command_stack, []
        return [await self._redis.execute_command(*args, **options) for args, options in stack]

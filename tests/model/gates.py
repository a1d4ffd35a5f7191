"""Gates: MongoDB's collections and a Redis client whose every command is one step of the scheduler. Real servers; the
commands are sent without asyncio, so that a step has happened when it returns."""

from asyncio import Future, ensure_future
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.connection import Connection
from redis.exceptions import ResponseError

from datastore.calls import Doc
from datastore.together import Asked, answered
from tests.model.wire import Collection, Wire

Gate = Callable[[str], Awaitable[None]]
# (collection) has just been written to.
Written = Callable[[str], None]
# (channel, data) has just been published.
Published = Callable[[str, str], None]

_WRITES = ("insert", "update", "move", "delete", "find_one_and")


class GatedMongo:
    """Stands for datastore.mongo.Mongo where rooms want its collections. `now`: the time of a run, in milliseconds."""

    def __init__(self, wire: Wire, gate: Gate, written: Written, now: Callable[[], int]) -> None:
        self._wire, self._gate, self._written, self._now = wire, gate, written, now

    def standby(self) -> Self:
        """The same: there is one member."""
        return self

    def without_primary_seconds(self) -> float:
        return 0

    async def ask(self, asked: Sequence[Asked[Any]]) -> list[list[Doc]]:
        """At once: that questions wait for each other leaves fewer orders than are tried here, and no other."""
        return await answered(asked)

    def begin(self, asked: Sequence[Asked[Any]]) -> Future[list[list[Doc]]]:
        """At any moment from now on."""
        return ensure_future(answered(asked))

    async def answer(self, begun: Future[list[list[Doc]]]) -> list[list[Doc]]:
        return await begun

    def __getattr__(self, name: str) -> "_Collection":
        return _Collection(self._wire[name], self._gate, self._written, self._now)


class _Collection:
    def __init__(self, real: Collection, gate: Gate, written: Written, now: Callable[[], int]) -> None:
        self._real, self._gate, self._written, self._now = real, gate, written, now

    def find(self, query: Any, fields: Any = None, **_: Any) -> "_Cursor":
        return _Cursor(partial(self._real.find, query, fields), f"{self._real.name}.find", self._gate)

    @property
    def name(self) -> str:
        return self._real.name

    def aggregate(self, pipeline: Any, **_: Any) -> "_Cursor":
        own = [stage for stage in pipeline if "$unionWith" not in stage]
        unions = [stage["$unionWith"] for stage in pipeline if "$unionWith" in stage]
        parts = [(self._real, own), *((self._real.beside(union["coll"]), union["pipeline"]) for union in unions)]
        cursors = [
            _Cursor(partial(real.aggregate, stages), f"{real.name}.aggregate", self._gate) for real, stages in parts
        ]
        return _Joined(cursors) if unions else cursors[0]

    def __getattr__(self, command: str) -> Callable[..., Awaitable[Any]]:
        async def run(*args: Any, **more: Any) -> Any:
            await self._gate(f"{self._real.name}.{command}")
            answer = getattr(self._real, command)(*_at(self._now(), args), **more)
            if command.startswith(_WRITES):
                self._written(self._real.name)
            return answer

        return run


def _at(now_ms: int, part: Any) -> Any:
    """The same with the run's time in place of the server's."""
    if isinstance(part, dict):
        return {key: _at(now_ms, value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return type(part)(_at(now_ms, value) for value in part)
    return datetime.fromtimestamp(now_ms / 1000, UTC) if part == "$$NOW" else part


class _Cursor:
    """All that a query finds, read in one step."""

    def __init__(self, read: Callable[..., list[Any]], label: str, gate: Gate) -> None:
        self._read, self._label, self._gate = read, label, gate

    def sort(self, *by: Any) -> "_Cursor":
        self._read = partial(self._read, sort=by)
        return self

    def limit(self, count: int) -> "_Cursor":
        self._read = partial(self._read, limit=count)
        return self

    def hint(self, index: Any) -> "_Cursor":
        self._read = partial(self._read, hint=index)
        return self

    async def to_list(self, _length: int | None = None) -> list[Any]:
        await self._gate(self._label)
        return self._read()

    async def __aiter__(self) -> AsyncIterator[Any]:
        for doc in await self.to_list():
            yield doc


class _Joined(_Cursor):
    """Several, one after the other: what one aggregation joins is read at several moments."""

    def __init__(self, cursors: list[_Cursor]) -> None:
        self._cursors = cursors

    async def to_list(self, _length: int | None = None) -> list[Any]:
        return [doc for cursor in self._cursors for doc in await cursor.to_list()]


class Line:
    """A connection for commands and one that listens to channels, to one Redis, both without asyncio."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        # Any: the driver's connections are untyped.
        kind: Any = Connection
        self._commands, self._heard = (
            kind(address.hostname or "", address.port or 0, decode_responses=True, protocol=2) for _ in range(2)
        )
        self._commands.connect()
        self._heard.connect()
        self._loaded: set[str] = set()
        # Scripts by their SHA.
        self._names: dict[str, str] = {}
        # Those that publish.
        self._speakers: set[str] = set()
        # In a small world streams have few events: cut them exactly and not by whole nodes of a hundred.
        self.send("CONFIG", "SET", "stream-node-max-entries", 1)

    def send(self, *command: Any) -> Any:
        """The answer to a command. Nothing here may be refused: a script that fails is no outage to get over."""
        # MongoDB's integers are of a class of their own, which this connection does not take.
        self._commands.send_command(*(int(part) if isinstance(part, int) else part for part in command))
        try:
            return self._commands.read_response()
        except ResponseError as error:
            raise AssertionError(f"Redis refuses {command}: {error}") from error

    def load(self, name: str, script: str, speaks: bool) -> None:
        """Load a script, once. `speaks`: it may publish."""
        if script not in self._loaded:
            self._loaded.add(script)
            sha = self.send("SCRIPT", "LOAD", script)
            self._names[sha] = name
            if speaks:
                self._speakers.add(sha)

    def speaks(self, command: tuple[Any, ...]) -> bool:
        """Whether there may be something to hear after this command."""
        return command[0] in ("EVAL", "SPUBLISH") or (command[0] == "EVALSHA" and command[1] in self._speakers)

    def label(self, command: tuple[Any, ...]) -> str:
        """What a command is called: scripts by their name."""
        if command[0] == "EVALSHA":
            return f"redis {self._names.get(command[1])} {' '.join(map(str, command[3:]))}"
        return f"redis {' '.join(map(str, command))}"

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
        await self._gate(self._line.label(args))
        answer = self._line.send(*args)
        if self._line.speaks(args):
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

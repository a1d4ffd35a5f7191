"""Line: one connection to Redis for the short commands of all requests of a process. Knows no key and no script.

Redis answers a connection's commands in order, so nobody needs one for themselves: what comes in one turn of the
event loop is sent together, and an answer goes to who has waited longest. That costs a fraction of what a connection of
a pool costs, which is lent, checked, timed and given back for every command.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

import hiredis
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

Command = tuple[Any, ...]
# Some turns of the loop, for what waits in the socket.
GRACE_SECONDS = 0.02


class Line:
    """`make` gives a connection that is not open yet and has no time limit of its own; the line opens it at the first
    command, and another one when it is lost. `seconds` is what opening may take, and what an answer may take."""

    def __init__(self, make: Callable[[], AbstractConnection], seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._opening: asyncio.Task[_Open] | None = None
        self._open: _Open | None = None

    async def call(self, *command: Any) -> Any:
        """Redis' answer. Raises RedisTimeoutError, RedisConnectionError, and ResponseError for what Redis refuses."""
        opened = self._open if self._open and not self._open.lost else await self._opened()
        return await opened.call(command)

    async def _opened(self) -> "_Open":
        """Opened once, however many wait for it."""
        if self._opening is None:
            # In a context of its own: it outlives the request that came first.
            self._opening = asyncio.create_task(self._connect(), context=Context())
            self._opening.add_done_callback(self._settle)
        return await asyncio.shield(self._opening)

    def _settle(self, opening: "asyncio.Task[_Open]") -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._open = opening.result()

    async def _connect(self) -> "_Open":
        connection = self._make()
        try:
            async with asyncio.timeout(self._seconds):
                await connection.connect()  # type: ignore[no-untyped-call]
        except TimeoutError:
            await connection.disconnect(nowait=True)
            raise RedisTimeoutError("Redis did not answer in time") from None
        return _Open(connection, self._seconds)

    async def aclose(self) -> None:
        """Who still waits is told that it is closed."""
        if self._opening:
            self._opening.cancel()
        if self._open:
            await self._open.close(RedisConnectionError("closed"))


class _Open(asyncio.Protocol):
    """A connection that is open, until it is `lost`. It takes the transport over from redis-py, which has opened it:
    what Redis says then goes from the socket to who waits for it, past a stream and a task."""

    def __init__(self, connection: Any, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = connection._writer.transport
        # As redis-py has made it: it knows the encoding, and what the errors are called.
        self._parser: Any = connection._parser._reader
        self._commands: list[bytes] = []
        # Who waits and since when, longest first.
        self._owed: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._transport.set_protocol(self)

    @property
    def lost(self) -> bool:
        """Whether it takes no more commands."""
        return self._closing is not None

    def call(self, command: Command) -> asyncio.Future[Any]:
        """Redis' answer, to be awaited by who asks alone."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        if not self._commands:
            self._loop.call_soon(self._send)
        self._commands.append(self._packed(command))
        self._owed.append((self._loop.time(), answer))
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)
        return answer

    def _packed(self, command: Command) -> bytes:
        """As it goes over the wire. redis-py writes it in Python, in ten times as long."""
        try:
            packed: bytes = hiredis.pack_command(command)
            return packed
        except TypeError:  # MongoDB's integers are of a class of their own
            return b"".join(self._connection.pack_commands([command]))

    def _send(self) -> None:
        commands, self._commands = self._commands, []
        # Nothing waits for the transport to drain: what is in it is what somebody waits for, no longer than `seconds`.
        if not self.lost:
            self._transport.write(b"".join(commands))

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        while not self.lost and (found := self._parser.gets()) is not NOT_ENOUGH_DATA:
            # A server that is still loading, say, is none.
            if isinstance(found, RedisConnectionError):
                self._lose(found)
                return
            _, answer = self._owed.popleft()
            if answer.done():  # nobody waits any more
                continue
            answer.set_exception(found) if isinstance(found, Exception) else answer.set_result(found)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(RedisConnectionError(str(exc or "Redis closed the connection")))

    def _look(self) -> None:
        """Some time is over: whose?"""
        self._timer = None
        since, answer = next((one for one in self._owed if not one[1].done()), (0.0, None))
        if answer is None:
            return
        left = since + self._seconds - self._loop.time()
        # A loop that was held up itself comes here before it reads what has come meanwhile.
        overdue = partial(self._overdue, answer) if left <= 0 else self._look
        self._timer = self._loop.call_later(max(left, GRACE_SECONDS), overdue)

    def _overdue(self, answer: "asyncio.Future[Any]") -> None:
        if answer.done():
            self._look()
        else:
            self._lose(RedisTimeoutError("Redis did not answer in time"))

    def _lose(self, error: Exception) -> None:
        """Everybody who waits is told, and the next command opens another connection."""
        if self.lost:
            return
        self._closing = self._loop.create_task(self._connection.disconnect(nowait=True), context=Context())
        if self._timer:
            self._timer.cancel()
        for _, answer in self._owed:
            if not answer.done():
                answer.set_exception(error)
        self._owed.clear()

    async def close(self, error: Exception) -> None:
        self._lose(error)
        if self._closing:
            await self._closing

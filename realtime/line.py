"""Line: one connection to Redis for the short commands of all requests of a process. Knows no key and no script.

Redis answers a connection's commands in order, so nobody needs one for themselves: what comes in one turn of the
event loop is sent together, and an answer goes to who has waited longest. That costs a fraction of what a connection of
a pool costs, which is lent, checked, timed and given back for every command.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from math import inf
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
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


class _Open:
    """A connection that is open, until it is `lost`."""

    def __init__(self, connection: AbstractConnection, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self._loop = asyncio.get_running_loop()
        self._commands: list[bytes] = []
        self._some = asyncio.Event()
        # Who waits, longest first.
        self._owed: deque[asyncio.Future[Any]] = deque()
        self.lost = False
        self._tasks = [asyncio.create_task(self._guarded(work)) for work in (self._send, self._receive)]

    async def call(self, command: Command) -> Any:
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._commands.append(self._packed(command))
        self._owed.append(answer)
        self._some.set()
        timer = self._loop.call_later(self._seconds, self._look, answer)
        try:
            return await answer
        finally:
            timer.cancel()

    def _packed(self, command: Command) -> bytes:
        """As it goes over the wire. redis-py writes it in Python, in ten times as long."""
        try:
            packed: bytes = hiredis.pack_command(command)
            return packed
        except TypeError:  # MongoDB's integers are of a class of their own
            return b"".join(self._connection.pack_commands([command]))

    def _look(self, answer: "asyncio.Future[Any]") -> None:
        """Its time is over. A loop that was held up itself comes here before it reads what has come meanwhile."""
        self._loop.call_later(GRACE_SECONDS, self._overdue, answer)

    def _overdue(self, answer: "asyncio.Future[Any]") -> None:
        if not answer.done():
            self._lose(RedisTimeoutError("Redis did not answer in time"))

    async def _send(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            commands, self._commands = self._commands, []
            await self._connection.send_packed_command([b"".join(commands)], check_health=False)

    async def _receive(self) -> None:
        while True:
            try:
                found, error = await self._connection.read_response(timeout=inf), None
            except ResponseError as refusal:
                found, error = None, refusal
            answer = self._owed.popleft()
            if answer.done():  # nobody waits any more
                continue
            answer.set_exception(error) if error else answer.set_result(found)

    async def _guarded(self, work: Callable[[], Any]) -> None:
        try:
            await work()
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            self._lose(RedisConnectionError(str(error)))

    def _lose(self, error: Exception) -> None:
        """Everybody who waits is told, and the next command opens another connection."""
        if self.lost:
            return
        self.lost = True
        for answer in self._owed:
            if not answer.done():
                answer.set_exception(error)
        self._owed.clear()
        for task in self._tasks:
            task.cancel()
        self._closing = asyncio.create_task(self._connection.disconnect(nowait=True))

    async def close(self, error: Exception) -> None:
        self._lose(error)
        for task in (*self._tasks, self._closing):
            with suppress(asyncio.CancelledError):
                await task

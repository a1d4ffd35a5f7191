"""Subscriber: one connection for sharded pub/sub, owned by one task. Promises no message, but tells of every new start.

Not redis-py's PubSub: there, a subscription that finds the connection broken reconnects beside the reading task, and
the two read each other's answers.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.exceptions import MovedError

from realtime.connect import Client, RedisError
from realtime.slots import by_slot

log = structlog.get_logger()

# Channels subscribed to in one command after a reconnect: some 30 KB.
SUBSCRIBE_BATCH = 500
# Takes (kind, channel, data): kind is "smessage", or "ssubscribe" for a confirmation, repeated after a reconnect.
Take = Callable[[str, str, str], None]


def _ignored(_: Exception) -> None:
    pass


class Subscriber:
    """The channels of a process. `run()` must be running; what it takes is taken in the order Redis sent it."""

    def __init__(
        self, redis: Client, take: Take, retry_seconds: float, refused: Callable[[Exception], None] = _ignored
    ) -> None:
        """`refused` is told of a channel that the server does not take, and of each connection that ended."""
        self._pool: Any = redis.connection_pool
        self._take = take
        self._refused = refused
        self._retry_seconds = retry_seconds
        self._channels: set[str] = set()
        self._connection: Any = None

    async def subscribe(self, channel: str) -> None:
        """Ask for a channel; its confirmation is taken once Redis sends what is published there."""
        self._channels.add(channel)
        await self._send("SSUBSCRIBE", channel)

    async def unsubscribe(self, channel: str) -> None:
        """Ask for a channel no longer; idempotent."""
        self._channels.discard(channel)
        await self._send("SUNSUBSCRIBE", channel)

    async def run(self) -> None:
        """Read until cancelled, over one connection after the other; each subscribes to all channels again."""
        while True:
            try:
                await self._read()
            except Exception as error:
                # Whatever went wrong with a connection, the next one starts from nothing.
                log.warning("hub.disconnected", error=type(error).__name__)
                self._refused(error)
            await asyncio.sleep(self._retry_seconds)

    async def _read(self) -> None:
        connection = self._pool.make_connection()
        try:
            await connection.connect()
            # From here on subscribe() sends by itself; what was asked for before is in the set.
            self._connection = connection
            for channels in by_slot(self._channels, str):
                for at in range(0, len(channels), SUBSCRIBE_BATCH):
                    await self._send("SSUBSCRIBE", *channels[at : at + SUBSCRIBE_BATCH])
            while True:
                try:
                    # Silence is no failure, whatever the time limit on answers is.
                    self._took(await connection.read_response(timeout=math.inf))
                except MovedError as moved:
                    self._refused(moved)
                for message in _at_hand(connection):
                    self._took(message)
        finally:
            self._connection = None
            await connection.disconnect(nowait=True)

    def _took(self, message: Any) -> None:
        if isinstance(message, MovedError):
            self._refused(message)
        elif isinstance(message, Exception):
            raise message
        else:
            self._take(*message)

    async def _send(self, *command: str) -> None:
        """Send, or leave it to the next connection. NOTE: redis-py would connect a closed connection again here."""
        connection = self._connection
        if connection is None or not connection.is_connected:
            return
        try:
            await connection.send_command(*command, check_health=False)
        except (RedisError, OSError):
            log.warning("hub.send_failed", command=command[0])


def _at_hand(connection: Any) -> Iterator[Any]:
    """What came along with the message that was read last, as hiredis has it already; a refusal as its exception. To
    ask the connection for each costs several times as much, and a busy process is sent thousands a second."""
    gets = connection._parser._reader.gets
    while (message := gets()) is not NOT_ENOUGH_DATA:
        yield message

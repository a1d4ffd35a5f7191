"""Slim: asyncio's Event and Queue without their deques, which are most of what an idle socket would hold of them. Knows
no socket.
"""

import asyncio
from typing import Any


class Gate:
    """asyncio.Event for somebody who seldom waits."""

    __slots__ = ("_open", "_waiting")

    def __init__(self) -> None:
        self._open = False
        self._waiting: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Whether `wait` returns at once."""
        return self._open

    def set(self) -> None:
        """Let everybody through who waits, and those who come."""
        self._open = True
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(None)
        self._waiting = None

    def clear(self) -> None:
        """Let nobody through."""
        self._open = False

    async def wait(self) -> None:
        """Until it is open."""
        while not self._open:
            if self._waiting is None:
                self._waiting = asyncio.get_running_loop().create_future()
            # Shielded: one who gives up does not take the future from the others.
            await asyncio.shield(self._waiting)


class Inbox:
    """asyncio.Queue without a bound, for one taker. uvicorn reads no more while something is in it."""

    __slots__ = ("_arrived", "_messages")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._arrived: asyncio.Future[None] | None = None

    def put_nowait(self, message: Any) -> None:
        """Add a message."""
        self._messages.append(message)
        if self._arrived and not self._arrived.done():
            self._arrived.set_result(None)

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._messages

    async def get(self) -> Any:
        """The oldest message."""
        while not self._messages:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        return self._messages.pop(0)

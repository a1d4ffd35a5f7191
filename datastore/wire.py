"""Wire: how PyMongo's connections wait for what MongoDB says: in the task that asks, by one future and one timer.
Imports no driver, knows no command.

Whose time is over, or who is told to let go, fails the future that the connection resolves; an answer that comes later
finds it done, and the connection is closed, as with the driver's own waiting.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

# A connection of the pool; the driver's classes have no types to speak of.
Connection = Any
Receive = Callable[..., Awaitable[Any]]


async def send(protocol: Any, message: bytes) -> None:
    """Hand a message to the transport, which takes it at once: there is nothing to wait for."""
    await protocol.write(message)


def receiver(layer: Any) -> Receive:
    """What receives a message in place of the driver's `async_receive_message`; `layer` is the module that has it."""

    async def receive(conn: Connection, request_id: int | None, max_message_size: int = layer.MAX_MESSAGE_SIZE) -> Any:
        patience = _Patience(layer, conn, _due(layer, conn))
        patience.look()
        try:
            data, op_code = await conn.conn.get_conn.read(request_id, max_message_size)
        finally:
            patience.end()
        unpack = layer._UNPACK_REPLY.get(op_code)
        if unpack is None:
            raise layer.ProtocolError(f"Got opcode {op_code!r} but expected {layer._UNPACK_REPLY.keys()!r}")
        return unpack(data)

    return receive


def _due(layer: Any, conn: Connection) -> float:
    """When the operation, or else this message, is out of time."""
    if layer._csot.get_timeout():
        return float(layer._csot.get_deadline())
    limit = conn.conn.gettimeout
    return time.monotonic() + limit if limit else float("inf")


class _Patience:
    """Looks now and then whether a connection's reply is still waited for, until its end."""

    __slots__ = ("_conn", "_due", "_layer", "_loop", "_timer")

    def __init__(self, layer: Any, conn: Connection, due: float) -> None:
        self._layer, self._conn, self._due = layer, conn, due
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def look(self, again: bool = False) -> None:
        """Raises, at first, if the operation has been cancelled by the pool."""
        left = self._due - time.monotonic()
        error: Exception | None = None
        if self._conn.cancel_context.cancelled:
            error = self._layer._OperationCancelled("operation cancelled")
        elif again and left <= 0:
            error = TimeoutError("timed out")
        if error is None:
            # What has come already is read even by who has no time left.
            self._timer = self._loop.call_later(min(max(left, 0), self._layer._POLL_TIMEOUT), self.look, True)
        elif not again:
            raise error
        else:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        for reply in self._conn.conn.get_conn._pending_messages:
            if not reply.done():
                reply.set_exception(error)

    def end(self) -> None:
        """Look no more."""
        if self._timer:
            self._timer.cancel()

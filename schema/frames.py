"""Frames: what goes over one websocket as graphql-transport-ws wants it, and as quickly as the transport takes it."""

from collections.abc import Callable, Coroutine
from functools import cached_property
from json import JSONDecodeError
from typing import Any

import orjson
from starlette.websockets import WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import NonJsonMessageReceived, NonTextMessageReceived, WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import Operation

from resolvers.context import Context

# What a close frame has room for.
REASON_BYTES = 123
# Waits until the client has read enough.
Drained = Callable[[], Coroutine[Any, Any, None]]


class TextFrames(ASGIWebSocketAdapter):
    """Frames as the protocol wants them: text, JSON."""

    @cached_property
    def _protocol(self) -> Any:
        """The server's end of the connection, past ASGI (server.Socket). Asked three times for each event."""
        return self.ws.scope["extensions"]["perch.socket"]

    @property
    def writable(self) -> bool:
        """Whether the client has read enough of what it was sent."""
        return self.is_writable()

    @property
    def is_writable(self) -> Callable[[], bool]:
        """What tells so, as often as it is asked."""
        asked: Callable[[], bool] = self._protocol.writable.is_set
        return asked

    async def drained(self) -> None:
        """Wait until it has, or is gone."""
        await self._protocol.writable.wait()

    @property
    def push(self) -> Callable[[bytes], None]:
        """What sends a whole frame, at once. Nothing if the connection closes."""
        pushed: Callable[[bytes], None] = self._protocol.push
        return pushed

    def bound(self, unread_bytes: int) -> None:
        """Have the system hold no more for a client that does not read."""
        self._protocol.bound(unread_bytes)

    def abort(self) -> None:
        """Drop the connection."""
        self._protocol.transport.abort()

    async def receive(self) -> object:
        """The next message. Raises what Strawberry's iter_json does, but keeps nothing of a message while it waits for
        the next one."""
        if self.ws.application_state is WebSocketState.DISCONNECTED:
            raise WebSocketDisconnected
        found = await self.ws.receive()
        if found["type"] == "websocket.disconnect":
            raise WebSocketDisconnected
        if found.get("text") is None:
            raise NonTextMessageReceived
        try:
            return self.view.decode_json(found["text"])
        except JSONDecodeError as error:
            raise NonJsonMessageReceived from error

    async def send_json(self, message: Any) -> None:
        """A message. Waits while the client does not read."""
        if self.ws.application_state is WebSocketState.DISCONNECTED:
            raise WebSocketDisconnected
        try:
            await self.ws.send({"type": "websocket.send", "text": orjson.dumps(message).decode()})
        except WebSocketDisconnect as gone:
            raise WebSocketDisconnected from gone

    async def close(self, code: int, reason: str) -> None:
        """NOTE: a reason may quote what the client sent; a longer one than fits would end the socket with 1006."""
        await super().close(code, reason.encode()[:REASON_BYTES].decode(errors="ignore"))


def frame(*parts: bytes) -> bytes:
    """A whole text frame (RFC 6455), as servers send them: not masked."""
    text = b"".join(parts)
    length = len(text)
    if length < 126:
        return bytes((0x81, length)) + text
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big") + text
    return b"\x81\x7f" + length.to_bytes(8, "big") + text


class Outlet:
    """Where the events of one operation go: `next` messages, straight to the transport. See schema.delivery.Outlet."""

    __slots__ = ("_head", "_operation", "_push", "drained", "is_writable")

    def __init__(self, frames: TextFrames, operation: Operation[Context, None], drained: Drained) -> None:
        self._operation, self.drained = operation, drained
        self._push, self.is_writable = frames.push, frames.is_writable
        self._head = b'{"id":%b,"type":"next","payload":' % orjson.dumps(operation.id)

    def write(self, _: bytes, payload: bytes) -> None:
        if not self._operation.completed:
            self._push(frame(self._head, payload, b"}"))


def authorization_of(payload: Any) -> object:
    """What a payload gives under `authorization`, in any case; None without one."""
    return {key.lower(): value for key, value in (payload or {}).items()}.get("authorization")


def well_formed(message: Any) -> bool:
    """Whether a frame has the shape that graphql-ws's PROTOCOL.md gives its type."""
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return False
    payload = message.get("payload")
    if message["type"] in ("subscribe", "complete") and not (isinstance(message.get("id"), str) and message["id"]):
        return False
    if message["type"] != "subscribe":
        return payload is None or isinstance(payload, dict)
    return (
        isinstance(payload, dict)
        and (isinstance(payload.get("query"), str) or _names_a_document(payload))
        and isinstance(payload.get("operationName"), str | None)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("extensions"), dict | None)
    )


def _names_a_document(payload: Any) -> bool:
    return payload.get("query") is None and isinstance((payload.get("extensions") or {}).get("persistedQuery"), dict)

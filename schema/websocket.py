"""Websocket: one graphql-transport-ws connection: its frames, its operations, its right, and how it ends."""

import asyncio
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.websockets import WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import CompleteMessage

from datastore.errors import RequestError, unauthenticated
from resolvers import guards
from resolvers.context import Context, Watch
from schema import limits
from schema.errors import render
from schema.sockets import Ending, Sockets, stop

# Close codes of graphql-transport-ws. 4403 and not 4401 for a bad or expired token: clients retry it with a new one.
FORBIDDEN = 4403
# Not retried by clients.
TOO_MANY = 4429
# What a close frame has room for.
REASON_BYTES = 123


class TextFrames(ASGIWebSocketAdapter):
    """Frames as the protocol wants them: text, JSON."""

    sending_since: float | None = None

    async def send_json(self, message: Any) -> None:
        await self.send_text(orjson.dumps(message).decode())

    async def send_text(self, text: str) -> None:
        """A message that is JSON already. Waits while the client does not read."""
        if self.ws.application_state is WebSocketState.DISCONNECTED:
            raise WebSocketDisconnected
        self.sending_since = self.sending_since or asyncio.get_running_loop().time()
        try:
            await self.ws.send({"type": "websocket.send", "text": text})
        except WebSocketDisconnect as gone:
            raise WebSocketDisconnected from gone
        finally:
            # Whoever else waits goes on in the same moment.
            self.sending_since = None

    async def close(self, code: int, reason: str) -> None:
        """NOTE: a reason may quote what the client sent; a longer one than fits would end the socket with 1006."""
        await super().close(code, reason.encode()[:REASON_BYTES].decode(errors="ignore"))


class SocketHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One socket. Malformed frames close it with 4400; a bad operation ends itself only; it ends with its token, with
    its session, when its client reads nothing, and when the server stops."""

    _ending: asyncio.Task[None] | None = None
    _closing_since: float | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def _sockets(self) -> Sockets:
        endpoint: Any = self.view
        return endpoint.sockets

    @property
    def _frames(self) -> TextFrames:
        frames: Any = self.websocket
        return frames

    @property
    def sending_since(self) -> float | None:
        """Since when the client has not read what it was sent (loop time); None if it has."""
        return self._closing_since or self._frames.sending_since

    async def handle(self) -> None:
        self._sockets.add(self)
        await super().handle()

    async def handle_message(self, message: Any) -> None:
        if self._ending:
            return  # what a client still sends while the socket closes has no right any more
        if not _well_formed(message):
            await self.handle_invalid_message("Malformed message")
        elif message["type"] == "connection_init" and message.get("payload") is None:
            await super().handle_message({"type": "connection_init", "payload": {}})
        else:
            await super().handle_message(message)

    async def handle_connection_init(self, message: Any) -> None:
        await super().handle_connection_init(message)
        if self.connection_acknowledged:
            self.connection_init_timeout_task = None
            await self._admit()

    async def _admit(self) -> None:
        if not await self._sockets.admit(self):
            self.end(Ending(TOO_MANY, "Too many sockets of this user"))

    async def handle_ping(self, message: Any) -> None:
        """A pong. A ping whose payload holds an `authorization` renews the right of the socket: see `_renew`."""
        authorization = authorization_of(message.get("payload"))
        if authorization is None or not self.connection_acknowledged:
            await super().handle_ping(message)
            return
        try:
            await self._renew(authorization)
        except RequestError:
            self.end(Ending(FORBIDDEN, "Forbidden"))
            return
        expires_at = self.context.expires_at
        renewed: Any = {"type": "pong", "payload": {"expiresAt": expires_at.isoformat() if expires_at else None}}
        await self.send_message(renewed)

    async def _renew(self, authorization: object) -> None:
        """Go on with another token of the same account. Raises UNAUTHENTICATED for any other."""
        fresh = Context(self.context.services, self.context.client_ip)
        if not isinstance(authorization, str):
            raise unauthenticated()
        await guards.authenticate(fresh, authorization)
        if fresh.viewer_id is None or fresh.viewer_id != self.context.viewer_id:
            raise unauthenticated("The token is another account's.")
        self._sockets.leave(self)
        self.context.session_id, self.context.expires_at = fresh.session_id, fresh.expires_at
        await self._admit()

    def end(self, why: Ending) -> None:
        """Close: at once for operations, and as soon as the client takes it for itself."""
        if not self._ending:
            # An operation that waited may be cut off now, but its client has still not read.
            self._closing_since = self.sending_since or asyncio.get_running_loop().time()
            self._ending = asyncio.create_task(self._close(why))

    def abort(self) -> None:
        """Drop the connection, if the server lets us; else it ends when the client's side does."""
        dropped = self._frames.ws.scope.get("extensions", {}).get("perch.abort")
        if dropped:
            dropped["abort"]()

    async def _close(self, why: Ending) -> None:
        for operation_id in list(self.operations):
            await self.cleanup_operation(operation_id)
        if self._frames.ws.application_state is not WebSocketState.DISCONNECTED:
            with suppress(WebSocketDisconnect):
                await self.websocket.close(code=why.code, reason=why.reason)
        self._closing_since = None

    async def shutdown(self) -> None:
        if self._ending:
            # The close frame may still wait for its turn; the registry sees to it that it does not wait for ever.
            await asyncio.wait({self._ending})
        self._sockets.discard(self)
        await asyncio.gather(*(stop(operation.task) for operation in self.operations.values() if operation.task))
        self.operations.clear()
        await super().shutdown()

    async def cleanup_operation(self, operation_id: str) -> None:
        operation = self.operations.pop(operation_id, None)
        if operation and operation.task:
            # Nothing more is sent under this id, even if the operation takes its time to end.
            operation.completed = True
            ending = asyncio.create_task(stop(operation.task))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def handle_subscribe(self, message: Any) -> None:
        if self.connection_acknowledged and message["id"] not in self.operations:
            try:
                message = self._to_run(message)
            except RequestError as error:
                await self._refuse(message["id"], error)
                return
        await super().handle_subscribe(message)

    def _to_run(self, message: Any) -> Any:
        """The message with the text of its document. Raises RATE_LIMITED, and what Documents.text_of raises."""
        if len(self.operations) >= limits.SUBSCRIPTIONS_PER_SOCKET:
            raise RequestError("RATE_LIMITED", "Too many operations on this socket.")
        endpoint: Any = self.view
        payload = message["payload"]
        query = endpoint.documents.text_of(payload.get("query"), payload.get("extensions"))
        return message | {"payload": payload | {"query": query}}

    async def _refuse(self, operation_id: str, error: RequestError) -> None:
        refused = render(GraphQLError(error.message, original_error=error)).formatted
        await self.send_message({"id": operation_id, "type": "error", "payload": [refused]})

    async def run_operation(self, operation: Operation[Context, None]) -> None:
        """The stock road; a homeTimelineEvents subscription comes back from it to be delivered in groups."""
        try:
            if watch := await self._run(operation):
                await self._deliver(operation, watch)
            await operation.send_operation_message(CompleteMessage(id=operation.id, type="complete"))
        except WebSocketDisconnected:
            pass
        except Exception as error:
            await self.handle_task_exception(error)
            raise

    async def _run(self, operation: Operation[Context, None]) -> Watch | None:
        watches: list[Watch] = []
        source = await self.schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=replace(self.context, take_over=watches.append),
            operation_name=operation.operation_name,
        )
        async with aclosing(source):
            await self._send_result_stream(operation, source)
        return watches[0] if watches else None

    async def _deliver(self, operation: Operation[Context, None], watch: Watch) -> None:
        head = f'{{"id":{orjson.dumps(operation.id).decode()},"type":"next","payload":'
        endpoint: Any = self.view
        payloads = endpoint.deliveries.payloads(watch, operation.query, operation.variables)
        async with aclosing(payloads):
            async for _, payload in payloads:
                if operation.completed:
                    return
                await self._frames.send_text(f"{head}{payload}}}")

    @staticmethod
    def _get_pre_execution_close_reason(error: object) -> None:
        return None


def authorization_of(payload: Any) -> object:
    """What a payload gives under `authorization`, in any case; None without one."""
    return {key.lower(): value for key, value in (payload or {}).items()}.get("authorization")


def _well_formed(message: Any) -> bool:
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

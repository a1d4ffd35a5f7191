"""Websocket: one graphql-transport-ws connection: its frames, its operations, its right, and how it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from graphql import GraphQLError
from starlette.websockets import WebSocketDisconnect, WebSocketState
from strawberry.http.exceptions import NonJsonMessageReceived, NonTextMessageReceived, WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import CompleteMessage

from datastore.errors import RequestError, unauthenticated
from resolvers import guards
from resolvers.context import Context, Watch
from resolvers.rounds import stop
from schema import limits
from schema.delivery import Begun, Deliveries
from schema.errors import render
from schema.frames import Outlet, TextFrames, authorization_of, well_formed
from schema.sockets import Ending, Sockets

# Close codes of graphql-transport-ws. 4403 and not 4401 for a bad or expired token: clients retry it with a new one.
FORBIDDEN = 4403
# Not retried by clients.
TOO_MANY = 4429


class SocketHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One socket. Malformed frames close it with 4400; a bad operation ends itself only; it ends with its token, with
    its session, when its client reads nothing, and when the server stops."""

    _ending: asyncio.Task[None] | None = None
    _sending_since: float | None = None
    _closing_since: float | None = None

    @property
    def _sockets(self) -> Sockets:
        endpoint: Any = self.view
        return endpoint.sockets

    @property
    def _deliveries(self) -> Deliveries:
        endpoint: Any = self.view
        deliveries: Deliveries = endpoint.deliveries
        return deliveries

    @property
    def _frames(self) -> TextFrames:
        frames: Any = self.websocket
        return frames

    @property
    def sending_since(self) -> float | None:
        """Since when the client has not read what it was sent (loop time); None if it has."""
        return self._closing_since or self._sending_since

    async def waited(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait for the client to read, under the eyes of the registry."""
        self._sending_since = self._sending_since or asyncio.get_running_loop().time()
        self._sockets.waiting.add(self)
        try:
            await wait()
        finally:
            # Whoever else waits goes on in the same moment.
            self._sending_since = None
            if not self._ending:
                self._sockets.waiting.discard(self)

    async def _drained(self) -> None:
        await self.waited(self._frames.drained)

    async def send_message(self, message: Any) -> None:
        if self._frames.writable:
            await super().send_message(message)
        else:
            await self.waited(partial(super().send_message, message))

    async def handle(self) -> None:
        self._sockets.add(self)
        self._frames.bound(self._sockets.unread_bytes)
        # Nobody reads them any more; they are two kilobytes.
        self._frames.ws.scope["headers"].clear()
        self.on_request_accepted()
        try:
            while True:
                await self.handle_message(await self._frames.receive())
        except NonTextMessageReceived:
            await self.handle_invalid_message("WebSocket message type must be text")
        except NonJsonMessageReceived:
            await self.handle_invalid_message("WebSocket message must be valid JSON")
        except WebSocketDisconnected:
            pass
        finally:
            await self.shutdown()

    async def handle_message(self, message: Any) -> None:
        if self._ending:
            return  # what a client still sends while the socket closes has no right any more
        if not well_formed(message):
            await self.handle_invalid_message("Malformed message")
        elif message["type"] == "connection_init" and message.get("payload") is None:
            await super().handle_message({"type": "connection_init", "payload": {}})
        else:
            await super().handle_message(message)

    async def handle_connection_init(self, message: Any) -> None:
        await super().handle_connection_init(message)
        if self.connection_acknowledged:
            self.connection_init_timeout_task = None
            self.context.connection_params = None
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
        await guards.authenticate(fresh, authorization, lasting=True)
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
            self._sockets.waiting.add(self)
            self._ending = asyncio.create_task(self._close(why))

    def abort(self) -> None:
        """Drop the connection with what was not yet sent."""
        self._frames.abort()

    async def _close(self, why: Ending) -> None:
        for operation_id in list(self.operations):
            await self.cleanup_operation(operation_id)
        if self._frames.ws.application_state is not WebSocketState.DISCONNECTED:
            with suppress(WebSocketDisconnect):
                await self.websocket.close(code=why.code, reason=why.reason)
        self._closing_since = None
        self._sockets.waiting.discard(self)

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
            self._sockets.stop_soon(operation.task)

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
            if begun := await self._run(operation):
                # The plan has them, once for all who ask the same.
                operation.query, operation.variables = "", None
                await self._deliveries.deliver(begun, Outlet(self._frames, operation, self._drained))
            await operation.send_operation_message(CompleteMessage(id=operation.id, type="complete"))
        except WebSocketDisconnected:
            pass
        except Exception as error:
            await self.handle_task_exception(error)
            raise

    async def _run(self, operation: Operation[Context, None]) -> Begun | None:
        watches: list[Watch] = []
        source = await self.schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=replace(self.context, take_over=watches.append),
            operation_name=operation.operation_name,
        )
        async with aclosing(source):
            await self._send_result_stream(operation, source)
        return self._deliveries.begin(watches[0], operation.query, operation.variables) if watches else None

    @staticmethod
    def _get_pre_execution_close_reason(error: object) -> None:
        return None

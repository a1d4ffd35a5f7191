"""Transport: GraphQL over HTTP and over graphql-transport-ws, who calls, and how a socket ends."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from cross_web import HTTPException, StarletteRequestAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler

from datastore.errors import RequestError
from resolvers import guards
from resolvers.context import Context, Services
from schema import graphiql, limits
from schema.build import PerchSchema
from schema.negotiation import Draft, settled
from schema.sockets import Sockets

# Close codes of graphql-transport-ws. 4403 and not 4401 for a bad or expired token: clients retry it with a new one.
FORBIDDEN = 4403


class TextFrames(ASGIWebSocketAdapter):
    """Frames as the protocol wants them: text, JSON."""

    async def send_json(self, message: Any) -> None:
        await self.ws.send_text(orjson.dumps(message).decode())


class SocketHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One socket. Malformed frames close it with 4400; a bad operation ends itself only; it ends with its token and
    with its session."""

    _expiry: asyncio.Task[None] | None = None
    _ending: asyncio.Task[None] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._endings: set[asyncio.Task[None]] = set()

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
        if self.connection_acknowledged and self.context.expires_at and not self._expiry:
            self._expiry = asyncio.create_task(self._close_at_expiry())
        if self.connection_acknowledged and self.context.session_id is not None:
            await self._join(self.context.session_id)

    async def _join(self, session_id: int) -> None:
        """Enter the registry. The session is looked up behind that: it may have ended since the token was checked."""
        self._sockets.add(session_id, self)
        if await self.context.services.session_ends.among([session_id]):
            self.end()

    @property
    def _sockets(self) -> Sockets:
        endpoint: Any = self.view
        return endpoint.sockets

    def end(self) -> None:
        """Close, since the session has ended: at once for operations, and as soon as the client takes it for itself."""
        if not self._ending:
            self._ending = asyncio.create_task(self._close_ended())

    async def _close_ended(self) -> None:
        for operation_id in list(self.operations):
            await self.cleanup_operation(operation_id)
        await self.websocket.close(code=FORBIDDEN, reason="The session has ended")

    async def _close_at_expiry(self) -> None:
        expires_at = self.context.expires_at
        if expires_at:
            await asyncio.sleep((expires_at - self.context.now()).total_seconds())
            await self.websocket.close(code=FORBIDDEN, reason="The access token has expired")

    async def shutdown(self) -> None:
        if self.context.session_id is not None:
            self._sockets.discard(self.context.session_id, self)
        for task in (self._expiry, self._ending):
            if task:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await asyncio.gather(*(_end(operation.task) for operation in self.operations.values() if operation.task))
        self.operations.clear()
        await super().shutdown()

    async def cleanup_operation(self, operation_id: str) -> None:
        operation = self.operations.pop(operation_id, None)
        if operation and operation.task:
            # Nothing more is sent under this id, even if the operation takes its time to end.
            operation.completed = True
            ending = asyncio.create_task(_end(operation.task))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def handle_subscribe(self, message: Any) -> None:
        free = message["id"] in self.operations or len(self.operations) < limits.SUBSCRIPTIONS_PER_SOCKET
        if free or not self.connection_acknowledged:
            await super().handle_subscribe(message)
            return
        error = {"message": "Too many operations on this socket.", "extensions": {"code": "RATE_LIMITED"}}
        refused: Any = {"id": message["id"], "type": "error", "payload": [error]}
        await self.send_message(refused)

    @staticmethod
    def _get_pre_execution_close_reason(error: object) -> None:
        return None


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel until it has ended. Once is not enough: redis-py uses asyncio.wait_for, which on Python 3.11 loses a
    cancellation that comes in the same tick as its answer."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)


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
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("operationName"), str | None)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("extensions"), dict | None)
    )


class Endpoint(GraphQL[Context, None]):
    """/graphql: queries by GET or POST, mutations by POST, anything over a socket, GraphiQL for a browser."""

    graphql_transport_ws_handler_class = SocketHandler
    request_adapter_class = property(lambda self: AnyCase)  # type: ignore[assignment]
    websocket_adapter_class = TextFrames  # type: ignore[assignment]

    def __init__(
        self, schema: PerchSchema, services: Services, ide: Path | None, origins: list[str], sockets: Sockets
    ) -> None:
        super().__init__(
            schema,
            graphql_ide="graphiql" if ide else None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=timedelta(seconds=limits.INIT_WAIT_SECONDS),
            max_subscriptions_per_connection=limits.SUBSCRIPTIONS_PER_SOCKET,
            allowed_origins=origins,
        )
        self._services = services
        self._ide = ide
        self.sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await super().__call__(scope, receive, send)
            return
        try:
            response = await self.run(Request(scope, _bounded(receive)))
        except HTTPException as error:
            response = refusal(error.status_code, error.reason)
        await response(scope, receive, send)

    async def get_context(self, request: Request | WebSocket, response: object) -> Context:
        client_ip = request.client.host if request.client else "unknown"
        context = Context(self._services, client_ip, request.headers.get("user-agent"))
        if isinstance(request, Request):
            try:
                await guards.authenticate(context, request.headers.get("authorization"))
            except RequestError as error:
                context.refused = error
        return context

    async def on_ws_connect(self, context: Context) -> Any:
        """The token comes in the payload of connection_init, under `authorization` in any case."""
        params = {key.lower(): value for key, value in (context.connection_params or {}).items()}
        authorization = params.get("authorization")
        try:
            if authorization is not None and not isinstance(authorization, str):
                raise ConnectionRejectionError
            # An empty one is what an IDE sends before anybody logged in.
            await guards.authenticate(context, authorization or None)
        except RequestError as error:
            raise ConnectionRejectionError from error
        return await super().on_ws_connect(context)

    async def get_sub_response(self, request: Request) -> Draft:
        return Draft(request.headers.get("accept", ""))

    def create_response(self, response_data: Any, sub_response: Response) -> Response:
        body, status = settled(response_data, sub_response.media_type)
        return Response(self.encode_json(body), status, media_type=sub_response.media_type)

    async def render_graphql_ide(self, request: Request) -> Response:
        return graphiql.page(self._ide) if self._ide else refusal(404, "Not found")

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)

    def parse_json(self, data: str | bytes) -> object:
        parsed = super().parse_json(data)
        if not isinstance(parsed, dict | list):
            raise HTTPException(400, "The body is neither an object nor a list")
        return parsed


def _bounded(receive: Receive) -> Receive:
    """At most BODY_BYTES of a body, whatever its header says. Raises 413."""
    size = 0

    async def bounded() -> Any:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limits.BODY_BYTES:
            raise HTTPException(413, f"A body has at most {limits.BODY_BYTES} bytes.")
        return message

    return bounded


class AnyCase(StarletteRequestAdapter):
    """A media type is read in any case."""

    @property
    def content_type(self) -> str | None:
        found = super().content_type
        return found.lower() if found else found


def refusal(status: int, message: str) -> Response:
    """A request that is no operation: a GraphQL error without data."""
    body = {"errors": [{"message": message, "extensions": {"code": "BAD_USER_INPUT"}}]}
    return Response(orjson.dumps(body), status, media_type="application/json")


async def end_with_sessions(services: Services, sockets: Sockets) -> None:
    """Close sockets as their sessions end, in whatever process that happens; until cancelled."""
    async for session_id in services.session_ends.follow(sockets.session_ids):
        sockets.end(session_id)


def routes(
    schema: PerchSchema, services: Services, ide: Path | None, origins: list[str], sockets: Sockets
) -> list[BaseRoute]:
    """The endpoint over HTTP and websocket, and the IDE's files where there is an IDE."""
    endpoint = Endpoint(schema, services, ide, origins, sockets)
    found: list[BaseRoute] = [
        Route("/graphql", endpoint, methods=["GET", "POST", "OPTIONS", "HEAD"]),
        WebSocketRoute("/graphql", endpoint),
    ]
    return found + (graphiql.routes(ide) if ide else [])

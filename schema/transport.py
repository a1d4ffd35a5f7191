"""Transport: the endpoint: GraphQL over HTTP, who calls, and which road a request takes."""

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
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from datastore.errors import RequestError
from resolvers import guards
from resolvers.context import Context, Services
from schema import graphiql, limits
from schema.build import PerchSchema
from schema.delivery import Deliveries
from schema.sockets import Sockets
from schema.websocket import SocketHandler, TextFrames, authorization_of


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
        self.deliveries = Deliveries(schema, services)

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
        authorization = authorization_of(context.connection_params)
        try:
            if authorization is not None and not isinstance(authorization, str):
                raise ConnectionRejectionError
            # An empty one is what an IDE sends before anybody logged in.
            await guards.authenticate(context, authorization or None)
        except RequestError as error:
            raise ConnectionRejectionError from error
        return await super().on_ws_connect(context)

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

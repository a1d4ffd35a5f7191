"""Transport: the endpoint: GraphQL over HTTP, who calls, and which road a request takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from cross_web import HTTPException, StarletteRequestAdapter
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http import process_result
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from datastore.errors import NOT_NOW, RETRY_SECONDS, RequestError
from resolvers import guards
from resolvers.context import Context, Services
from schema import bodies, direct, graphiql, limits, sse
from schema.build import PerchSchema
from schema.delivery import Deliveries
from schema.documents import filled
from schema.edge import Edge
from schema.frames import TextFrames, authorization_of
from schema.negotiation import Draft, media_type, settled
from schema.sockets import Sockets
from schema.websocket import SocketHandler


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
        self._schema, self._services = schema, services
        self._ide = ide
        self.sockets = sockets
        self.deliveries = Deliveries(schema, services)
        self.documents = schema.documents

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.run(WebSocket(scope, receive, send))
            return
        try:
            # Before it counts as a request in hand: somebody who is slow to send takes no place from the others.
            body, receive = await bodies.read(scope, receive)
            request, response = Request(scope), None
            if sse.MEDIA_TYPE in request.headers.get("accept", "").lower():
                response = await self._event_stream(request, body)
            response = response or await self._directly(request, body)
            response = response or await self._run(Request(scope, receive))
        except ClientDisconnect:
            return
        except HTTPException as error:
            response = refusal(error.status_code, error.reason)
        await response(scope, receive, send)

    async def _run(self, request: Request) -> Response:
        """The answer to an operation, within the time and the number of requests that this process allows itself."""
        load = self._services.load
        if load.full:
            load.turn_away()
            return refusal(503, "Too many requests at once. Try again.", "OVERLOADED")
        with load.request():
            return await self.run(request)

    async def _directly(self, request: Request, body: bytes) -> Response | None:
        """The answer to what is asked by POST and has been asked lately, past all that looks at documents and at
        unusual requests; None for the long road, which answers the same."""
        asked, load = direct.asked(request, body, self._schema), self._services.load
        if asked is None or load.full:
            return None
        with load.request():
            context = await self.get_context(request, response=None)
            result = await self._schema.answer(asked.known, asked.variables, context)
        return self._response(process_result(result), media_type(request.headers.get("accept", "")))

    async def _event_stream(self, request: Request, body: bytes) -> Response | None:
        """The answer to a subscription by somebody who accepts event streams; None for all else, which is answered as
        JSON: some clients list the media type on every request."""
        parameters = filled(_parameters(request, body), self.documents)
        asked = sse.subscription_of(parameters, request.headers.get("last-event-id"))
        if asked is None:
            return None
        context = await self.get_context(request, response=None)
        if context.refused:
            return None
        stream = sse.EventStream(self._schema, self.deliveries, self.sockets, context, asked)
        self.sockets.add(stream)
        if await self.sockets.admit(stream):
            return stream
        self.sockets.discard(stream)
        return refusal(429, "Too many sockets of this user")

    async def get_context(self, request: Request | WebSocket, response: object) -> Context:
        client_ip = request.client.host if request.client else "unknown"
        # A socket outlives what stands in for a primary.
        services = self._services.now() if isinstance(request, Request) else self._services
        context = Context(services, client_ip, request.headers.get("user-agent"))
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
            await guards.authenticate(context, authorization or None, lasting=True)
        except RequestError as error:
            raise ConnectionRejectionError from error
        return await super().on_ws_connect(context)

    async def get_sub_response(self, request: Request) -> Draft:
        return Draft(request.headers.get("accept", ""))

    def create_response(self, response_data: Any, sub_response: Response) -> Response:
        return self._response(response_data, sub_response.media_type)

    def _response(self, answer: Any, media: str | None) -> Response:
        body, status = settled(answer, media)
        return later(Response(self.encode_json(body), status, media_type=media), answer)

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


@dataclass(frozen=True, slots=True)
class Front:
    """What an operator decides of the front door: the IDE's files or None, origins of browsers, and how many proxies
    stand before it."""

    ide: Path | None
    origins: list[str]
    trusted_proxies: int


class Application(Starlette):
    """Starlette behind the edge, but what is for the endpoint goes straight there: past its other middleware and its
    routing, which do nothing for it, cost each request, and would stay on the stack of each socket."""

    def __init__(self, endpoint: Endpoint, others: Sequence[BaseRoute], trusted_proxies: int) -> None:
        edge = Middleware(Edge, trusted_proxies=trusted_proxies)
        super().__init__(routes=list(others), middleware=[edge])
        self._endpoint: ASGIApp = Edge(endpoint, trusted_proxies)

    def put_around(self, wrap: Callable[[ASGIApp], ASGIApp]) -> None:
        """Have whatever comes to the endpoint come through something else first."""
        self._endpoint = wrap(self._endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and scope["path"] == "/graphql":
            await self._endpoint(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _parameters(request: Request, body: bytes) -> Any:
    """What a request asks for, be it well formed or not; None if that cannot be read at all."""
    try:
        if request.method == "POST":
            is_json = request.headers.get("content-type", "").lower().startswith("application/json")
            return orjson.loads(body) if is_json else None
        found: dict[str, Any] = dict(request.query_params)
        return found | ({"variables": orjson.loads(found["variables"])} if found.get("variables") else {})
    except orjson.JSONDecodeError:
        return None


class AnyCase(StarletteRequestAdapter):
    """A media type is read in any case; Strawberry is not told that event streams are accepted."""

    @property
    def headers(self) -> Mapping[str, str]:
        return {name: value for name, value in super().headers.items() if name != "accept"} | {"accept": self._accept}

    @property
    def _accept(self) -> str:
        accepted = super().headers.get("accept", "").split(",")
        return ",".join(one for one in accepted if sse.MEDIA_TYPE not in one.lower())

    @property
    def content_type(self) -> str | None:
        found = super().content_type
        return found.lower() if found else found


def refusal(status: int, message: str, code: str = "BAD_USER_INPUT") -> Response:
    """A request that is no operation, or not now: a GraphQL error without data."""
    body = {"errors": [{"message": message, "extensions": {"code": code}}]}
    # What still comes of a body that is not waited for is no request.
    headers = {405: {"Allow": "GET, POST"}, 408: {"Connection": "close"}}.get(status)
    return later(Response(orjson.dumps(body), status, headers, media_type="application/json"), body)


def later(response: Response, answer: Any) -> Response:
    """The response; 503 with Retry-After where nothing could be served at all, so that a proxy may ask elsewhere."""
    if not isinstance(answer, dict) or answer.get("data"):
        return response
    codes = {error.get("extensions", {}).get("code") for error in answer.get("errors", ())}
    if codes & NOT_NOW:
        response.status_code = 503
        response.headers["retry-after"] = str(RETRY_SECONDS)
    return response


def application(
    schema: PerchSchema, services: Services, sockets: Sockets, front: Front, probes: Sequence[BaseRoute]
) -> Application:
    """The endpoint over HTTP and websocket, the IDE's files where there is an IDE, and the probes."""
    endpoint = Endpoint(schema, services, front.ide, front.origins, sockets)
    ide = graphiql.routes(front.ide) if front.ide else []
    return Application(endpoint, [*ide, *probes], front.trusted_proxies)

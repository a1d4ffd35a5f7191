"""Event streams: a subscription over plain HTTP (graphql-sse, distinct connections), resumed by Last-Event-ID."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from datastore.errors import RequestError
from resolvers.context import Context, Watch
from resolvers.rounds import stop
from schema import cursors, limits
from schema.build import PerchSchema
from schema.delivery import Deliveries
from schema.plans import payload
from schema.sockets import Ending, Sockets

MEDIA_TYPE = "text/event-stream"
# Proxies drop a response that is silent for a minute.
PING_SECONDS = 12.0
# What a stream that ends may still take to say so.
FAREWELL_SECONDS = 1.0
HEADERS = {"content-type": f"{MEDIA_TYPE}; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no"}
PING, COMPLETE = ":\n\n", "event: complete\ndata:\n\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """A subscription as a request brings it; `last_event_id` is the live cursor behind which it is resumed."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None
    last_event_id: str | None


def subscription_of(body: Any, last_event_id: str | None) -> Asked | None:
    """The subscription that a request asks for; None for anything else, which is answered as JSON."""
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        return None
    variables, name = body.get("variables"), body.get("operationName")
    if not isinstance(variables, dict | None) or not isinstance(name, str | None):
        return None
    try:
        document = parse(body["query"], max_tokens=limits.TOKENS)
    except (GraphQLError, RecursionError):
        return None
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    named = [one for one in operations if name is None or (one.name and one.name.value == name)]
    if len(named) != 1 or named[0].operation is not OperationType.SUBSCRIPTION:
        return None
    return Asked(body["query"], variables, name, last_event_id)


class EventStream(Response):
    """The answer to such a request: one connection of the registry, which it must have entered, until one of both
    sides ends it."""

    def __init__(
        self, schema: PerchSchema, deliveries: Deliveries, sockets: Sockets, context: Context, asked: Asked
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self.context = context
        self.sending_since: float | None = None
        self._schema, self._deliveries, self._sockets, self._asked = schema, deliveries, sockets, asked
        self._ended = asyncio.Event()
        self._abort: Any = None

    def end(self, why: Ending) -> None:
        """End the response; a client connects again, and learns then what is the matter."""
        self._ended.set()

    def abort(self) -> None:
        """Drop the connection, if the server lets us."""
        if self._abort:
            self._abort()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if stream := scope.get("extensions", {}).get("perch.stream"):
            self._abort = stream["abort"]
            stream["bound"](self._sockets.unread_bytes)
        running = [asyncio.create_task(one) for one in (self._write(send), self._ended.wait(), _gone(receive))]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in running:
                await stop(task)
            self._sockets.discard(self)
        if not running[2].done() or running[2].cancelled():
            try:
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            except (TimeoutError, OSError):
                # Nobody reads: closed in good order, it would wait for ever with all it was sent.
                self.abort()

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        pinging = asyncio.create_task(self._ping(send))
        try:
            async with aclosing(self._messages()) as messages:
                async for message in messages:
                    await self._send(send, message)
            await self._send(send, COMPLETE)
        finally:
            pinging.cancel()

    async def _ping(self, send: Send) -> None:
        while True:
            await self._send(send, PING)
            await asyncio.sleep(PING_SECONDS)

    async def _send(self, send: Send, text: str) -> None:
        self.sending_since = self.sending_since or asyncio.get_running_loop().time()
        self._sockets.waiting.add(self)
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        self._sockets.waiting.discard(self)
        self.sending_since = None

    async def _messages(self) -> AsyncGenerator[str, None]:
        asked, watches = self._asked, list[Watch]()
        source = await self._schema.stream(
            asked.query,
            variable_values=asked.variables,
            context_value=replace(self.context, take_over=watches.append),
            operation_name=asked.operation_name,
        )
        async with aclosing(source):
            async for result in source:
                yield _next(payload(self._schema, result))
        for watch in watches:
            async for message in self._resumed(watch):
                yield message

    async def _resumed(self, watch: Watch) -> AsyncGenerator[str, None]:
        """The events of a home timeline, each with its live cursor as its id."""
        try:
            if self._asked.last_event_id:
                watch = replace(watch, after=cursors.decode_live(self._asked.last_event_id))
        except RequestError as error:
            failed = GraphQLError(str(error), original_error=error)
            yield _next(payload(self._schema, ExecutionResult(data=None, errors=[failed])))
            return
        begun = self._deliveries.begin(watch, self._asked.query, self._asked.variables)
        payloads = self._deliveries.payloads(begun)
        async with aclosing(payloads):
            async for cursor, text in payloads:
                yield _next(text, cursor.decode())


def _next(text: bytes, cursor: str = "") -> str:
    """One event. JSON holds no line break, so its data is one line."""
    return f"event: next\n{f'id: {cursor}' + chr(10) if cursor else ''}data: {text.decode()}\n\n"


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

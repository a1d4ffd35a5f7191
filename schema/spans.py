"""Spans of requests and operations: put around an application and a schema where traces are recorded, so that elsewhere
nothing of it runs. Names of fields and codes only; no document, no variable, no argument.
"""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

from graphql import GraphQLField
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resolvers.context import Context
from schema import metrics
from schema.build import PerchSchema
from schema.charges import Known

# What begins a span: a name, perhaps a parent, and attributes (datastore.tracing.span).
Span = Callable[..., AbstractContextManager[Any]]


class TracedRequests:
    """The endpoint, each of whose requests is a span, in the caller's trace if the request names one. Sockets are none:
    they live for hours."""

    def __init__(self, endpoint: ASGIApp, span: Span) -> None:
        self._endpoint, self._span = endpoint, span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._endpoint(scope, receive, send)
            return
        method, parent = scope["method"], Headers(scope=scope).get("traceparent", "")
        # NOTE: of the address only the path: a query may stand behind it.
        with self._span(f"{method} /graphql", parent, http_request_method=method) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await self._endpoint(scope, receive, told)


def trace_operations(schema: PerchSchema, span: Span) -> None:
    """Have each operation over HTTP, on either road, and each outermost field be a span from now on."""
    execute, answer = schema.execute, schema.answer

    async def within(running: Awaitable[Any], context: Any) -> Any:
        with span("operation") as begun:
            result = await running
            begun.update_name(f"operation {getattr(context, 'operation', metrics.UNKNOWN)}")
            begun.set_attribute("perch.outcome", metrics.outcome_of(result))
            return result

    async def executed(*args: Any, context_value: Any = None, **kwargs: Any) -> Any:
        return await within(execute(*args, context_value=context_value, **kwargs), context_value)

    async def answered(known: Known, variables: dict[str, Any] | None, context: Context) -> Any:
        return await within(answer(known, variables, context), context)

    schema.execute, schema.answer = executed, answered  # type: ignore[method-assign]
    built = schema._schema
    for type_ in (built.query_type, built.mutation_type):
        for name, field in type_.fields.items() if type_ else ():
            _trace_field(f"field {name}", field, span)


def _trace_field(name: str, field: GraphQLField, span: Span) -> None:
    resolve: Any = field.resolve
    if resolve is None:
        return

    def traced(*args: Any, **kwargs: Any) -> Any:
        found = resolve(*args, **kwargs)
        return _awaited(name, found, span) if inspect.isawaitable(found) else found

    field.resolve = traced


async def _awaited(name: str, found: Awaitable[Any], span: Span) -> Any:
    with span(name):
        return await found

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

from schema import metrics
from schema.build import PerchSchema

# What begins a span: a name, perhaps a parent, and attributes (datastore.tracing.span).
Span = Callable[..., AbstractContextManager[Any]]
# Probes come every second and tell nothing.
UNTRACED = {"/healthz", "/readyz", "/metrics"}


class TracedRequests:
    """An application each of whose requests is a span, in the caller's trace if the request names one."""

    def __init__(self, app: ASGIApp, span: Span) -> None:
        self._app, self._span = app, span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        parent = Headers(scope=scope).get("traceparent", "")
        # NOTE: of the address only what is no parameter: a query may stand in one.
        with self._span(f"{method} {_place(scope)}", parent, http_request_method=method) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await self._app(scope, receive, told)


def _place(scope: Scope) -> str:
    return "/graphql" if scope["path"] == "/graphql" else "other"


def trace_operations(schema: PerchSchema, span: Span) -> None:
    """Have each operation over HTTP and each root field of it be a span from now on."""
    execute = schema.execute

    async def traced(*args: Any, context_value: Any = None, **kwargs: Any) -> Any:
        with span("operation") as begun:
            result = await execute(*args, context_value=context_value, **kwargs)
            begun.update_name(f"operation {getattr(context_value, 'operation', metrics.UNKNOWN)}")
            begun.set_attribute("perch.outcome", metrics.outcome_of(result))
            return result

    schema.execute = traced  # type: ignore[method-assign]
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

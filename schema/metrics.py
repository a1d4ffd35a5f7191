"""Metrics of what is seen: operations, refusals, connections. Few labels, all from the schema; no ids, no texts."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
)
from prometheus_client import Counter, Gauge, Histogram

# From a cached answer to the end of REQUEST_SECONDS; 1 is what pages and posts have to keep.
SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 6)
REQUESTS = Counter("perch_requests", "Operations by root field and outcome.", ["operation", "outcome"])
REQUEST_SECONDS = Histogram("perch_request_seconds", "Queries and mutations over HTTP.", ["operation"], buckets=SECONDS)
REFUSALS = Counter("perch_refusals", "Mutations refused as data, by code.", ["code"])
CONNECTIONS = Gauge("perch_connections", "Open websockets and event streams of this process.")

# What was refused before anybody looked which operation it is: it does not parse, fit the schema or pass a limit.
UNKNOWN = "unknown"
# Several root fields: their combinations have no bound.
SEVERAL = "several"


def label_of(document: DocumentNode, operation: OperationDefinitionNode) -> str:
    """The label of a valid operation: its root field, since names that clients choose would have no bound."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    names, seen, left = set[str](), set[str](), [operation.selection_set]
    while left:
        for node in left.pop().selections:
            if isinstance(node, FieldNode):
                names.add(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                left.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                left.append(fragments[node.name.value].selection_set)
    names -= {"__typename"} if len(names) > 1 else set()
    return names.pop() if len(names) == 1 else SEVERAL


def outcome_of(result: Any) -> str:
    """`ok`, or the code of the first error; a refusal as data is an answer (see REFUSALS)."""
    errors = getattr(result, "errors", None)
    return str((errors[0].extensions or {}).get("code", UNKNOWN)) if errors else "ok"


def note(operation: str, result: Any, began: float) -> None:
    """Count an operation over HTTP that began then (time.perf_counter)."""
    _counted(operation, outcome_of(result)).inc()
    _timed(operation).observe(time.perf_counter() - began)


# Few labels, and to look them up costs more than to count.
_counted, _timed = lru_cache(REQUESTS.labels), lru_cache(REQUEST_SECONDS.labels)


async def noted(results: AsyncGenerator[Any, None], context: Any) -> AsyncGenerator[Any, None]:
    """The results of an operation of a socket or an event stream, counted with its first one, or at its end."""
    first: Any = None
    async with aclosing(results):
        try:
            async for result in results:
                if first is None:
                    first = result
                    REQUESTS.labels(context.operation, outcome_of(result)).inc()
                yield result
        finally:
            if first is None:
                REQUESTS.labels(context.operation, "ok").inc()

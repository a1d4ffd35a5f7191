"""Negotiation: which of the two media types of GraphQL over HTTP an answer has, and the status that goes with it.

Under `application/json` the status is 200 whatever GraphQL says; under `application/graphql-response+json` an operation
that never ran is a 400 without `data` (the specification "GraphQL over HTTP", section Response).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from starlette.responses import Response

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"


def media_type(accept: str) -> str:
    """The one that an answer has."""
    return GRAPHQL if prefers_graphql(accept) else JSON


class Draft(Response):
    """What is known of a response before the operation has run: whether the caller wants the newer media type."""

    def __init__(self, accept: str) -> None:
        super().__init__()
        self.status_code = None  # type: ignore[assignment]
        self.media_type = media_type(accept)


@dataclass(frozen=True, slots=True)
class _Range:
    type_: str
    quality: float


# A client has one and the same.
@lru_cache(1_000)
def prefers_graphql(accept: str) -> bool:
    """Whether the header names the newer media type, and no less than the older one. Wildcards name neither."""
    qualities = {one.type_: one.quality for one in _ranges(accept.lower())}
    return qualities.get(GRAPHQL, 0) > 0 and qualities[GRAPHQL] >= qualities.get(JSON, 0)


def _ranges(accept: str) -> Iterator[_Range]:
    for part in accept.split(","):
        type_, *parameters = (each.strip() for each in part.split(";"))
        weights = [each[2:].strip() for each in parameters if each.startswith("q=")]
        try:
            yield _Range(type_, float(weights[0]) if weights else 1.0)
        except ValueError:
            yield _Range(type_, 0.0)


def settled(answer: Any, media_type: str | None) -> tuple[Any, int]:
    """The body and its status. An operation has not run if it has neither data nor an error at some path."""
    if media_type != GRAPHQL or not isinstance(answer, dict) or answer.get("data") is not None:
        return answer, 200
    if any(error.get("path") for error in answer.get("errors", ())):
        return answer, 200
    return {name: value for name, value in answer.items() if name != "data"}, 400

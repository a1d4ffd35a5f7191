"""Direct: which requests need no second look: those that ask, by POST and as JSON, for an operation that was asked for
lately. Answers none, and refuses none: whatever is unusual is somebody else's to tell.
"""

from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from strawberry.types.graphql import OperationType

from datastore.errors import RequestError
from schema.build import PerchSchema
from schema.charges import Known


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation that is known, with its variables."""

    known: Known
    variables: dict[str, Any] | None


def asked(request: Request, body: bytes, schema: PerchSchema) -> Asked | None:
    """What a request asks for; None unless everything about it is as it nearly always is."""
    if request.method != "POST" or not _is_json(request.headers.get("content-type", "")):
        return None
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict):
        return None
    text, name, variables = found.get("query"), found.get("operationName"), found.get("variables")
    extensions = found.get("extensions")
    fits = isinstance(text, str | None) and isinstance(name, str | None) and isinstance(variables, dict | None)
    if not fits or not isinstance(extensions, dict | None):
        return None
    try:
        known = schema.plans.found(schema.documents.text_of(text, extensions), name)
    except RequestError:
        return None
    return Asked(known, variables) if known and known.kind is not OperationType.SUBSCRIPTION else None


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"

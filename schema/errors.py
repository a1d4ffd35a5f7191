"""Errors: refusals as data, and everything else as a coded top-level error. Masks what is a bug."""

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import strawberry
import structlog
from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError

from datastore import errors
from resolvers import guards
from schema import metrics
from schema.enums import ErrorCode

log = structlog.get_logger()

P = TypeVar("P")
# What graphql-core adds where a value does not fit: names that nobody has asked for.
_SUGGESTION = re.compile(r" Did you mean [^?]*\?")


@strawberry.interface(description="A refusal that a form can show.")
class UserError:
    message: str = strawberry.field(description="What to tell the user, in English.")
    code: ErrorCode = strawberry.field(description="What to decide by.")
    path: list[str] | None = strawberry.field(description="The input field to blame, if one is.")


@strawberry.type(description="A refusal without further data.")
class FieldError(UserError):
    pass


@strawberry.type(description="The text is longer than it may be.")
class TextTooLong(UserError):
    length: int = strawberry.field(description="Its length in characters: code points after NFC.")
    limit: int = strawberry.field(description="How many are allowed.")


def refused(error: errors.DomainError) -> UserError:
    """The refusal as data. NOTE: a copy, since graphql-core raises whatever exception a field gives."""
    path = list(error.path) or None
    if isinstance(error, errors.TextTooLongError):
        return TextTooLong(message=error.message, code=error.code, path=path, length=error.length, limit=error.limit)
    return FieldError(message=error.message, code=error.code, path=path)


async def answered(make: Callable[..., P], call: Awaitable[Any], *fields: str) -> P:
    """A mutation's payload: the answer under each of the `fields` names, or its refusal as data."""
    try:
        answer = await call
    except errors.DomainError as error:
        metrics.REFUSALS.labels(error.code).inc()
        return make(errors=[refused(error)])
    return make(errors=[], **dict.fromkeys(fields, answer))


def render(error: GraphQLError) -> GraphQLError:
    """The error as clients see it: with a code, and masked unless somebody meant it. Idempotent."""
    if "code" in (error.extensions or {}):
        return error
    code, message, extra = _explain(error)
    return GraphQLError(
        _SUGGESTION.sub("", message),
        error.nodes,
        error.source,
        error.positions,
        error.path,
        extensions={"code": code, **extra},
    )


def _explain(error: GraphQLError) -> tuple[str, str, dict[str, object]]:
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error:
        cause = cause.original_error
    if isinstance(cause, errors.RequestError):
        return cause.code, cause.message, cause.extra
    if isinstance(cause, errors.DomainError):
        return str(cause.code), cause.message, {}
    if isinstance(error, GraphQLSyntaxError):
        return "GRAPHQL_PARSE_FAILED", error.message, {}
    if cause is None or isinstance(cause, GraphQLError):
        # Raised by graphql-core itself: by validation if nothing ran, else by coercing an argument or a variable.
        ran = error.path is not None or (
            error.message.startswith("Variable '$") and " has invalid value" in error.message
        )
        return ("BAD_USER_INPUT" if ran else "GRAPHQL_VALIDATION_FAILED"), error.message, {}
    if isinstance(cause, MissingQueryError):
        return "BAD_USER_INPUT", "There is no query.", {}
    if isinstance(cause, CannotGetOperationTypeError):
        return "BAD_USER_INPUT", cause.as_http_error_reason(), {}
    if error.path is None and error.nodes and isinstance(cause, ValueError):
        # graphql-core reads literals while it validates: int() refuses more than 4,300 digits.
        return "GRAPHQL_VALIDATION_FAILED", "A literal cannot be read.", {}
    if away := guards.outage(cause):
        log.warning("request.unserved", path=error.path, error=type(cause).__name__)
        return away.code, away.message, away.extra
    request_id = secrets.token_hex(8)
    log.error("request.failed", request_id=request_id, path=error.path, exc_info=cause)
    return "INTERNAL_SERVER_ERROR", "Something broke on our side.", {"requestId": request_id}

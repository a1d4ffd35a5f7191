"""Errors: every one has a code, whoever raised it, and rendering twice changes nothing."""

import pytest
from graphql import GraphQLError, GraphQLSyntaxError, Source

from datastore import errors
from datastore.errors import DomainError, TextTooLongError
from schema.enums import ErrorCode
from schema.errors import FieldError, TextTooLong, refused, render


def located(cause: Exception | None, message: str = "hidden") -> GraphQLError:
    return GraphQLError(message, path=["field"], original_error=cause)


def test_every_code_of_a_refusal_is_in_the_schema() -> None:
    assert {code.name for code in ErrorCode} == {code.name for code in errors.ErrorCode}


def test_a_refusal_is_data_with_its_field() -> None:
    found = refused(DomainError(errors.ErrorCode.NOT_FOUND, "Nothing there.", ("input", "tweetId")))
    assert found == FieldError(message="Nothing there.", code=errors.ErrorCode.NOT_FOUND, path=["input", "tweetId"])
    assert refused(DomainError(errors.ErrorCode.WRONG_CREDENTIALS, "Wrong.")).path is None
    too_long = refused(TextTooLongError(errors.ErrorCode.TEXT_TOO_LONG, "Long.", ("input", "text"), 141, 140))
    assert isinstance(too_long, TextTooLong)
    assert (too_long.length, too_long.limit) == (141, 140)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (located(errors.unauthenticated()), "UNAUTHENTICATED", "Log in first."),
        (located(errors.bad_input("Junk.")), "BAD_USER_INPUT", "Junk."),
        (located(GraphQLError("x", original_error=errors.bad_input("Junk."))), "BAD_USER_INPUT", "Junk."),
        (located(DomainError(errors.ErrorCode.NOT_FOUND, "None.")), "NOT_FOUND", "None."),
        (GraphQLSyntaxError(Source("{"), 1, "Expected more."), "GRAPHQL_PARSE_FAILED", "Syntax Error: Expected more."),
        (GraphQLError("Unknown field."), "GRAPHQL_VALIDATION_FAILED", "Unknown field."),
        (located(None, "Cannot coerce."), "BAD_USER_INPUT", "Cannot coerce."),
        (located(ValueError("a secret")), "INTERNAL_SERVER_ERROR", "Something broke on our side."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_error_has_a_code(error: GraphQLError, code: str, message: str) -> None:
    seen = render(error)
    assert seen.extensions
    assert (seen.extensions["code"], seen.message, seen.path) == (code, message, error.path)
    assert render(seen) is seen
    assert "a secret" not in str(seen.formatted)


def test_what_a_request_error_adds_is_in_the_extensions() -> None:
    seen = render(located(errors.RequestError("RATE_LIMITED", "Too often.", retryAfter=7)))
    assert seen.extensions == {"code": "RATE_LIMITED", "retryAfter": 7}

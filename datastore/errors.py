"""Refusals: what a room says no with. Standard library only; rendering is schema's."""

from dataclasses import dataclass
from enum import StrEnum


class ErrorCode(StrEnum):
    """Refusals a form can show: they reach the client as data."""

    TEXT_EMPTY = "TEXT_EMPTY"
    TEXT_TOO_LONG = "TEXT_TOO_LONG"
    TEXT_FORBIDDEN_CHARACTERS = "TEXT_FORBIDDEN_CHARACTERS"
    USERNAME_INVALID = "USERNAME_INVALID"
    USERNAME_TAKEN = "USERNAME_TAKEN"
    EMAIL_INVALID = "EMAIL_INVALID"
    EMAIL_TAKEN = "EMAIL_TAKEN"
    PASSWORD_TOO_WEAK = "PASSWORD_TOO_WEAK"  # noqa: S105  a code, not a secret
    WRONG_CREDENTIALS = "WRONG_CREDENTIALS"
    SESSION_EXPIRED = "SESSION_EXPIRED"
    NOT_FOUND = "NOT_FOUND"
    NOT_ALLOWED = "NOT_ALLOWED"
    SELF_ACTION = "SELF_ACTION"
    BLOCKED = "BLOCKED"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"


@dataclass(slots=True, eq=False)
class DomainError(Exception):
    """A refusal with a code, raised at the lowest room that knows. `path` names the input field, if one is to blame."""

    code: ErrorCode
    message: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(slots=True, eq=False)
class TextTooLongError(DomainError):
    """The text has `length` characters (code points after NFC) where `limit` are allowed."""

    length: int = 0
    limit: int = 0


class RequestError(Exception):
    """What the server cannot serve at all: a top-level GraphQL error with `code` and `extra` in its extensions."""

    def __init__(self, code: str, message: str, **extra: object) -> None:
        super().__init__(message)
        self.code, self.message, self.extra = code, message, extra


def unauthenticated(message: str = "Log in first.") -> RequestError:
    """Nobody is logged in, or the token is bad, expired or revoked."""
    return RequestError("UNAUTHENTICATED", message)


def forbidden(message: str) -> RequestError:
    """This installation does not offer it, to anybody."""
    return RequestError("FORBIDDEN", message)


def bad_input(message: str) -> RequestError:
    """An argument that no form produces: a junk id or cursor, a bound passed."""
    return RequestError("BAD_USER_INPUT", message)


def too_costly(cost: int, limit: int, field: str) -> RequestError:
    """The answer could be larger than any screen needs; `field` is where most of it would be."""
    message = f"This costs {cost}, and an operation may cost {limit}. Most of it goes into {field}."
    return RequestError("QUERY_TOO_COSTLY", message, cost=cost, limit=limit, field=field)


# What a caller is told to wait when the server cannot serve now.
RETRY_SECONDS = 2
# The codes that say so.
NOT_NOW = {"UNAVAILABLE", "OVERLOADED"}


def unavailable() -> RequestError:
    """What it needs does not answer. A write may or may not have happened: its idempotency key tells."""
    return RequestError("UNAVAILABLE", "This cannot be served just now. Try again.", retryAfter=RETRY_SECONDS)


def overloaded() -> RequestError:
    """Too much is asked at once; nothing was done."""
    return RequestError("OVERLOADED", "Too many requests at once. Try again.", retryAfter=RETRY_SECONDS)

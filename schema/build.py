"""The schema, built from its parts, with the limits that hold before any resolver runs."""

from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.extensions import (
    MaxAliasesLimiter,
    MaxTokensLimiter,
    ParserCache,
    QueryDepthLimiter,
    SchemaExtension,
    ValidationCache,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from resolvers.context import Context
from schema.errors import FieldError, TextTooLong, render
from schema.limits import ALIASES, CACHED_DOCUMENTS, DEPTH, TOKENS
from schema.mutation import Mutation
from schema.query import Query
from schema.subscription import Subscription


class Refusal(SchemaExtension):
    """Fails the operation of a caller whose token was not accepted, before anything runs."""

    def on_operation(self) -> Any:
        context = self.execution_context.context
        if isinstance(context, Context) and context.refused:
            raise context.refused
        yield


class PerchSchema(strawberry.Schema):
    """Strawberry's schema with Perch's errors: every path of an error leads through here."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        errors[:] = [render(error) for error in errors]

    async def stream(self, *args: Any, context_value: Any = None, **kwargs: Any) -> Any:
        """An operation of a socket. The socket has one context; each operation gets its own, with its own loaders."""
        return await super().stream(*args, context_value=context_value.for_operation(), **kwargs)


def build() -> PerchSchema:
    """The schema. One per process."""
    return PerchSchema(
        Query,
        Mutation,
        Subscription,
        types=[FieldError, TextTooLong],
        extensions=[
            Refusal,
            lambda: MaxTokensLimiter(TOKENS),
            lambda: MaxAliasesLimiter(ALIASES),
            lambda: QueryDepthLimiter(DEPTH),
            lambda: ParserCache(CACHED_DOCUMENTS),
            lambda: ValidationCache(CACHED_DOCUMENTS),
        ],
        config=StrawberryConfig(disable_field_suggestions=True),
    )

"""The schema, built from its parts, with the limits that hold before any resolver runs."""

from contextlib import suppress
from typing import Any

import strawberry
from graphql import ASTValidationRule, GraphQLError, OperationDefinitionNode
from strawberry.extensions import (
    MaxTokensLimiter,
    ParserCache,
    SchemaExtension,
    ValidationCache,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext
from strawberry.types.graphql import OperationType

from resolvers.context import Context
from schema.charges import Charged, Plans, counted
from schema.errors import FieldError, TextTooLong, render
from schema.limits import CACHED_DOCUMENTS, COST, RULES, TOKENS, NoIntrospection
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


class Rules(SchemaExtension):
    """Says by which rules a document is judged."""

    def __init__(self, rules: tuple[type[ASTValidationRule], ...]) -> None:
        self._rules = rules

    def on_operation(self) -> Any:
        self.execution_context.validation_rules = self._rules
        yield


class Parsed(ParserCache):
    """The cache; what does not parse is left to Strawberry, which fails it where every transport expects it."""

    def on_parse(self) -> Any:
        context = self.execution_context
        with suppress(GraphQLError):
            context.graphql_document = self.cached_parse_document(context.query, **context.parse_options)
        yield


class OneOperation(SchemaExtension):
    """Of several operations one has to be named."""

    def on_validate(self) -> Any:
        context = self.execution_context
        document = context.graphql_document
        operations = (
            [one for one in document.definitions if isinstance(one, OperationDefinitionNode)] if document else []
        )
        if len(operations) > 1 and context._provided_operation_name is None:
            context.pre_execution_errors = [GraphQLError("Which operation? Give its operationName.")]
        yield


class PerchSchema(strawberry.Schema):
    """Strawberry's schema with Perch's errors: every path of an error leads through here."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        errors[:] = [render(error) for error in errors]

    async def execute(self, *args: Any, allowed_operation_types: Any = None, **kwargs: Any) -> Any:
        """An operation over HTTP, which carries no subscription."""
        allowed = set(allowed_operation_types or OperationType) - {OperationType.SUBSCRIPTION}
        return await super().execute(*args, allowed_operation_types=allowed, **kwargs)

    async def stream(self, *args: Any, context_value: Any = None, **kwargs: Any) -> Any:
        """An operation of a socket. The socket has one context; each operation gets its own, with its own loaders."""
        context = context_value.for_operation()
        return counted(await super().stream(*args, context_value=context, **kwargs), context)


def build(cost_limit: int = COST, introspection: bool = True) -> PerchSchema:
    """The schema. One per process. No operation may cost more than the limit."""
    plans = Plans(cost_limit)
    rules: tuple[type[ASTValidationRule], ...] = RULES if introspection else (NoIntrospection, *RULES)
    return PerchSchema(
        Query,
        Mutation,
        Subscription,
        types=[FieldError, TextTooLong],
        extensions=[
            Refusal,
            lambda: MaxTokensLimiter(TOKENS),
            lambda: Rules(rules),
            lambda: Parsed(CACHED_DOCUMENTS),
            lambda: ValidationCache(CACHED_DOCUMENTS),
            OneOperation,
            lambda: Charged(plans),
        ],
        config=StrawberryConfig(disable_field_suggestions=True),
    )

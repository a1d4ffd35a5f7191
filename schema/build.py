"""The schema, built from its parts, with the limits that hold before any resolver runs."""

import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, cast

import strawberry
from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode
from graphql.execution.execute import execute_root_selection_set
from strawberry.execution import optimized_is_awaitable
from strawberry.extensions import MaxTokensLimiter, ParserCache, SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext
from strawberry.types import ExecutionResult as StrawberryResult
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from datastore.errors import RequestError
from resolvers.context import Context
from schema import metrics
from schema.charges import Charged, Known, Plans, counted, settled
from schema.documents import Documents
from schema.errors import FieldError, TextTooLong, render
from schema.executor import Shaped
from schema.limits import CACHED_DOCUMENTS, COST, RULES, TOKENS, Judge, NoIntrospection, judge_by
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


class Parsed(ParserCache):
    """The cache; what does not parse is left to Strawberry, which fails it where every transport expects it."""

    def on_parse(self) -> Any:
        context = self.execution_context
        with suppress(GraphQLError):
            context.graphql_document = self.cached_parse_document(context.query, **context.parse_options)
        yield


class Validated(SchemaExtension):
    """Judges a document by these rules, once as long as it is remembered. Of several operations one has to be named."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def on_validate(self) -> Any:
        context = self.execution_context
        document = context.graphql_document
        assert document  # noqa: S101  it has been parsed
        context.pre_execution_errors = self._judge(context.schema._schema, document)
        operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
        if len(operations) > 1 and context._provided_operation_name is None:
            context.pre_execution_errors = [GraphQLError("Which operation? Give its operationName.")]
        yield


class PerchSchema(strawberry.Schema):
    """Strawberry's schema with Perch's errors: every path of an error leads through here."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        errors[:] = [render(error) for error in errors]

    documents: Documents
    plans: Plans

    async def execute(
        self,
        query: str | None,
        *args: Any,
        operation_extensions: Any = None,
        allowed_operation_types: Any = None,
        context_value: Any = None,
        **kwargs: Any,
    ) -> Any:
        """An operation over HTTP, which carries no subscription."""
        began = time.perf_counter()
        allowed = set(allowed_operation_types or OperationType) - {OperationType.SUBSCRIPTION}
        result: Any
        try:
            text = self.documents.text_of(query, operation_extensions)
        except RequestError as error:
            result = _unserved(error)
        else:
            kwargs |= {"allowed_operation_types": allowed, "context_value": context_value}
            result = await super().execute(text, *args, **kwargs)
        metrics.note(getattr(context_value, "operation", metrics.UNKNOWN), result, began)
        return result

    async def answer(self, known: Known, variables: dict[str, Any] | None, context: Context) -> Any:
        """As `execute`, of a query or a mutation that is known: nothing of its document is looked at again."""
        began = time.perf_counter()
        extensions: dict[str, Any] = {}
        try:
            if context.refused:
                raise context.refused
            cost = await self.plans.charge(known, context, variables or {})
            result, count = await self._run(known, variables, context)
            extensions = settled(known, context, cost, result, count)
        except Exception as error:
            result = ExecutionResult(None, [_located(error)])
        if result.errors:
            self.process_errors(result.errors)
        metrics.note(context.operation, result, began)
        return StrawberryResult(data=result.data, errors=result.errors, extensions=extensions)

    async def _run(
        self, known: Known, variables: dict[str, Any] | None, context: Context
    ) -> tuple[ExecutionResult, int | None]:
        """The result, and how many objects its data has, if that is known."""
        built = self.execution_context_class.build(
            self._schema,
            known.document,
            context_value=context,
            raw_variable_values=variables,
            operation_name=known.name,
            is_awaitable=cast(Any, optimized_is_awaitable),
        )
        if isinstance(built, list):
            return ExecutionResult(None, built), None
        found: Any = execute_root_selection_set(built)
        result: ExecutionResult = await found if built.is_awaitable(found) else found
        return result, cast(Shaped, built).objects

    async def stream(self, query: str | None, *args: Any, context_value: Any = None, **kwargs: Any) -> Any:
        """An operation of a socket. The socket has one context; each operation gets its own, with its own loaders."""
        try:
            text = self.documents.text_of(query, kwargs.pop("operation_extensions", None))
        except RequestError as error:
            return _one(_unserved(error))
        context = context_value.for_operation()
        results = await super().stream(text, *args, context_value=context, **kwargs)
        return metrics.noted(counted(results, context), context)


def _located(error: Exception) -> GraphQLError:
    return error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)


def _unserved(error: RequestError) -> PreExecutionError:
    return PreExecutionError(data=None, errors=[render(GraphQLError(error.message, original_error=error))])


async def _one(result: PreExecutionError) -> AsyncGenerator[PreExecutionError, None]:
    yield result


def build(cost_limit: int = COST, introspection: bool = True, documents: Documents | None = None) -> PerchSchema:
    """The schema. One per process. No operation may cost more than the limit."""
    plans = Plans(cost_limit)
    judge = judge_by(RULES if introspection else (NoIntrospection, *RULES))
    schema = PerchSchema(
        Query,
        Mutation,
        Subscription,
        types=[FieldError, TextTooLong],
        extensions=[
            Refusal,
            lambda: MaxTokensLimiter(TOKENS),
            lambda: Parsed(CACHED_DOCUMENTS),
            lambda: Validated(judge),
            lambda: Charged(plans),
        ],
        execution_context_class=Shaped,
        config=StrawberryConfig(disable_field_suggestions=True),
    )
    schema.documents, schema.plans = documents or Documents(), plans
    return schema

"""Charges: each operation is priced and charged before anything of it runs, and given back what it did not need."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from graphql import DocumentNode, GraphQLError, get_operation_ast
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.graphql import OperationType

from datastore.errors import RequestError, too_costly
from resolvers import guards
from resolvers.context import Context
from schema.callers import needs_viewer
from schema.cost import Plan, objects, plan
from schema.errors import render
from schema.limits import CACHED_DOCUMENTS
from schema.metrics import label_of


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an operation before it runs; `personal` if it needs an account, `label` for metrics."""

    document: DocumentNode
    plan: Plan
    personal: bool
    label: str


class Plans:
    """The plans of the documents asked lately, and what an operation may cost at most."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # The document is kept with its plans: the key is its identity, as the parser's cache gives it again.
        self._plans: dict[tuple[int, str | None], Known] = {}

    def of(self, execution: ExecutionContext) -> Known:
        """What is known of the operation that is about to run."""
        document, name = execution.graphql_document, execution.operation_name
        assert document  # noqa: S101  it has been validated
        found = self._plans.get((id(document), name))
        if found is None:
            operation = get_operation_ast(document, name)
            assert operation  # noqa: S101  likewise
            planned = plan(execution.schema._schema, document, operation)
            found = Known(document, planned, needs_viewer(document, operation), label_of(document, operation))
            if len(self._plans) >= CACHED_DOCUMENTS:
                self._plans.clear()
            self._plans[id(document), name] = found
        return found


class Charged(SchemaExtension):
    """Refuses an operation that costs too much, charges the others before anything of them runs, and gives back what
    the answer did not need. A subscription is charged for an event; what the others cost is counted as they come."""

    def __init__(self, plans: Plans) -> None:
        self._plans = plans
        self._results: dict[str, Any] = {}

    async def on_execute(self) -> Any:
        execution, limit = self.execution_context, self._plans.limit
        known, variables = self._plans.of(execution), execution.variables or {}
        execution.context.operation = known.label
        if known.personal:
            guards.viewer(execution.context)
        plan = known.plan
        cost = plan.cost(variables)
        if cost > limit:
            raise too_costly(cost, limit, plan.heaviest(variables))
        if execution.operation_type is OperationType.QUERY:
            guards.admit_read(execution.context)
        await guards.charge(execution.context, cost)
        if execution.operation_type is OperationType.SUBSCRIPTION:
            execution.context.due = -cost
        yield
        if cost and execution.operation_type is not OperationType.SUBSCRIPTION:
            needed = plan.surcharge + objects(getattr(execution.result, "data", None))
            bill = guards.settle(execution.context, min(cost, needed))
            self._results = {"cost": {"requested": cost, "actual": bill.cost, "remaining": bill.remaining}}

    def get_results(self) -> dict[str, Any]:
        return self._results


async def counted(results: AsyncGenerator[Any, None], context: Context) -> AsyncGenerator[Any, None]:
    """The results of an operation of a socket or an event stream, each event counted. What its caller's budget has no
    room for is an error in its place, and the end."""
    try:
        async with aclosing(results):
            async for result in results:
                await guards.charge_event(context, objects(result.data))
                yield result
    except RequestError as error:
        yield ExecutionResult(data=None, errors=[render(GraphQLError(error.message, original_error=error))])
    finally:
        guards.settle_events(context)

"""Charges: each operation is priced and charged before anything of it runs, and given back what it did not need."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, get_operation_ast
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.graphql import OperationType

from datastore.errors import RequestError, too_costly
from resolvers import guards
from resolvers.context import Context
from schema.callers import needs_viewer
from schema.cost import Plan, Variables, objects, plan
from schema.errors import render
from schema.limits import CACHED_DOCUMENTS
from schema.metrics import label_of


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a valid operation before it runs; `kind` is what it is, `personal` if it needs an account,
    `label` for metrics."""

    document: DocumentNode
    operation: OperationDefinitionNode
    kind: OperationType
    plan: Plan
    personal: bool
    label: str

    @property
    def name(self) -> str | None:
        return self.operation.name.value if self.operation.name else None


class Plans:
    """What is known of the operations asked lately, and what one may cost at most."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # By text and by the name that the caller gave.
        self._known: dict[tuple[str | None, str | None], Known] = {}

    def found(self, text: str | None, name: str | None) -> Known | None:
        """What is known of an operation that was asked lately: its document parsed, passed every rule and was run."""
        return self._known.get((text, name))

    def of(self, execution: ExecutionContext) -> Known:
        """What is known of the operation that is about to run."""
        key = execution.query, execution._provided_operation_name
        found = self._known.get(key)
        if found is None:
            document = execution.graphql_document
            assert document  # noqa: S101  it has been validated
            operation = get_operation_ast(document, execution.operation_name)
            assert operation  # noqa: S101  likewise
            planned, personal = plan(execution.schema._schema, document, operation), needs_viewer(document, operation)
            kind, label = OperationType(operation.operation.value), label_of(document, operation)
            found = Known(document, operation, kind, planned, personal, label)
            if len(self._known) >= CACHED_DOCUMENTS:
                self._known.clear()
            self._known[key] = found
        return found

    async def charge(self, known: Known, context: Context, variables: Variables) -> int:
        """Charge an operation that is about to run; gives its cost. Raises what it is refused for."""
        context.operation = known.label
        if known.personal:
            guards.viewer(context)
        cost = known.plan.cost(variables)
        if cost > self.limit:
            raise too_costly(cost, self.limit, known.plan.heaviest(variables))
        if known.kind is OperationType.QUERY:
            guards.admit_read(context)
        await guards.charge(context, cost)
        if known.kind is OperationType.SUBSCRIPTION:
            context.due = -cost
        return cost


def settled(known: Known, context: Context, cost: int, result: Any, count: int | None = None) -> dict[str, Any]:
    """Give back what the answer did not need; what `extensions` tells of it. `count`: how many objects the answer has,
    where that is known."""
    if not cost or known.kind is OperationType.SUBSCRIPTION:
        return {}
    data = getattr(result, "data", None)
    found = objects(data) if count is None or data is None else count
    needed = known.plan.surcharge + found
    bill = guards.settle(context, min(cost, needed))
    return {"cost": {"requested": cost, "actual": bill.cost, "remaining": bill.remaining}}


class Charged(SchemaExtension):
    """Refuses an operation that costs too much, charges the others before anything of them runs, and gives back what
    the answer did not need. A subscription is charged for an event; what the others cost is counted as they come."""

    def __init__(self, plans: Plans) -> None:
        self._plans = plans
        self._results: dict[str, Any] = {}

    async def on_execute(self) -> Any:
        execution = self.execution_context
        known = self._plans.of(execution)
        cost = await self._plans.charge(known, execution.context, execution.variables or {})
        yield
        self._results = settled(known, execution.context, cost, execution.result)

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

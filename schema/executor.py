"""Executor: graphql-core's, but that what lies below an outermost field is read by a shape that is kept with its
document (schema/shapes.py). Tells no error itself.

A shape knows one case, that all is well. Whatever else comes up, it is let go: graphql-core completes the field anew
from the value that it gave, with errors, nulls and paths as the specification has them. The fields below are then
resolved a second time, which they bear: they read.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from typing import Any

from graphql import (
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLOutputType,
    GraphQLResolveInfo,
    Node,
    VariableNode,
    get_named_type,
    is_leaf_type,
)
from graphql.execution.collect_fields import collect_fields
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema.limits import CACHED_DOCUMENTS
from schema.shapes import Complete, Kept, Reading, Site, completion

# Where a schema keeps what is made for its documents.
_SHAPES, _KEPT = "perch.shapes", "perch.kept"
# Of one field for the values of the variables that @skip and @include ask: enough for those of a client; who tries more
# is answered by graphql-core alone.
VARIANTS = 16


class Shaped(StrawberryGraphQLCoreExecutionContext):
    """Answers, errors and their order are graphql-core's."""

    # Whether a shape has failed in this operation: then nobody tries another one.
    by_the_book = False
    # How many objects the answer has; None where not all of it was made by shapes, and somebody has to look.
    objects: int | None = 0

    def root(self) -> tuple[str, Complete | None]:
        """Of an operation with one outermost field, what stands in the answer before its value, and the shape of its
        values."""
        parent: Any = self.schema.get_root_type(self.operation.operation)
        found = collect_fields(
            self.schema, self.fragments, self.variable_values, parent, self.operation, self.hide_suggestions
        )
        ((name, details),) = found.grouped_field_set.items()
        field: Any = self.schema.get_field(parent, details[0].node.name.value)
        info = self.build_resolve_info(field, [one.node for one in details], parent, Path(None, name, parent.name))
        return name, self._shape(field.type, details, info)

    def reading(self) -> Reading:
        """One use of a shape."""
        return Reading(self, self.schema.extensions.setdefault(_KEPT, Kept()))

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: Any,
        info: GraphQLResolveInfo[Any],
        path: Any,
        result: Any,
        position_context: Any,
    ) -> Any:
        """The value as it stands in the answer; or somebody who waits for it."""
        given = return_type, field_details_list, info, path, result, position_context
        complete = None if self.by_the_book else self._shape(return_type, field_details_list, info)
        if complete is None:
            if not is_leaf_type(get_named_type(return_type)):
                self.objects = None
            return super().complete_value(*given)
        reading = self.reading()
        try:
            value = complete(result, reading)
        except Exception:
            return self._by_the_book(given, reading)
        if reading.waiting:
            return self._awaited(value, reading, given)
        self._count(reading)
        return value

    def _count(self, reading: Reading) -> None:
        if self.objects is not None:
            self.objects += reading.objects

    async def _awaited(self, value: Any, reading: Reading, given: Any) -> Any:
        """The value when all that it waits for has come."""
        try:
            while waiting := reading.waiting:
                reading.waiting = []
                found = await _all([one[0] for one in waiting])
                for (_, complete, answer, name), each in zip(waiting, found, strict=True):
                    answer[name] = complete(each, reading)
        except Exception:
            told = self._by_the_book(given, reading)
            return await told if self.is_awaitable(told) else told
        self._count(reading)
        return value

    def _by_the_book(self, given: Any, reading: Reading) -> Any:
        reading.drop()
        self.by_the_book, self.objects = True, None
        return super().complete_value(*given)

    def _shape(self, return_type: GraphQLOutputType, details: Any, info: GraphQLResolveInfo[Any]) -> Complete | None:
        """The shape of a field's values, made when the field is first met; None for graphql-core."""
        wrapped = self.middleware_manager and self.middleware_manager.middlewares
        if wrapped or is_leaf_type(get_named_type(return_type)):
            return None
        kept: dict[tuple[int, ...], _Variants] = self.schema.extensions.setdefault(_SHAPES, {})
        key = (id(return_type), *(id(one.node) for one in details))
        variants = kept.get(key)
        if variants is None:
            if len(kept) >= CACHED_DOCUMENTS:
                kept.clear()
            variants = kept[key] = _Variants(details, info)
        return variants.of(return_type, details, info, self.variable_values.coerced)


class _Variants:
    """The shapes of a field where it stands in a document, by the values that @skip and @include ask."""

    def __init__(self, details: Any, info: GraphQLResolveInfo[Any]) -> None:
        # Kept, since they are known by their identity.
        self._nodes = [one.node for one in details]
        self._asked = sorted(set(_conditions(self._nodes, info.fragments)))
        self._known: dict[tuple[Any, ...], Complete | None] = {}

    def of(
        self, type_: GraphQLOutputType, details: Any, info: GraphQLResolveInfo[Any], variables: dict[str, Any]
    ) -> Complete | None:
        values = tuple(variables.get(name) for name in self._asked)
        if values not in self._known:
            if len(self._known) >= VARIANTS:
                return None
            field = info.parent_type.fields.get(info.field_name)
            # What asks about the schema is not asked often.
            self._known[values] = completion(type_, Site(info.parent_type, field, details)) if field else None
        return self._known[values]


def _conditions(nodes: Iterable[Node], fragments: dict[str, FragmentDefinitionNode]) -> Iterator[str]:
    """The names of the variables that decide which fields below these nodes are asked for."""
    left: list[Any] = [*nodes]
    seen: set[str] = set()
    while left:
        node = left.pop()
        for directive in node.directives or ():
            if directive.name.value in ("skip", "include"):
                values = (argument.value for argument in directive.arguments or ())
                yield from (value.name.value for value in values if isinstance(value, VariableNode))
        if isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
            seen.add(node.name.value)
            left.append(fragments[node.name.value])
        selection = getattr(node, "selection_set", None)
        left += selection.selections if selection else ()


async def _all(awaitables: Sequence[Awaitable[Any]]) -> list[Any]:
    """What each gives, in order, all at once. When one fails the others are cancelled."""
    if len(awaitables) == 1:
        return [await awaitables[0]]
    # One after the other: they run by themselves, and most of them are done when the first one is.
    futures = [asyncio.ensure_future(one) for one in awaitables]
    try:
        return [await one for one in futures]
    except BaseException:
        for one in futures:
            one.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
        raise

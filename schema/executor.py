"""Executor: reads plain fields in place, in one step for each; whatever else a field may be is graphql-core's road.

A field is plain if it gives a leaf, takes no argument and nothing but its parent: most of an answer is such fields, and
graphql-core builds a path, an info and a resolver's arguments for each of them.
"""

from collections.abc import Awaitable, Callable, Mapping
from operator import attrgetter
from typing import Any, cast

from graphql import GraphQLField, GraphQLObjectType, get_nullable_type, is_leaf_type
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

# Where a type keeps what is made of its fields once.
_PLAIN = "perch.plain"
Read = Callable[[Any], Any]


class InPlace(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor but for plain fields. Answers, errors and their order are the same."""

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Any,
        grouped_field_set: Any,
        position_context: Any,
    ) -> Any:
        """The values by response name, in the order of the document; or somebody who waits for them."""
        plain = plain_of(parent_type)
        results: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, details in grouped_field_set.items():
            read = plain.get(details[0].node.name.value)
            results[name] = value = read(source_value) if read else None
            if value is None:
                others[name] = details
        if not others:
            return results
        found = super().execute_fields(parent_type, source_value, path, others, position_context)
        if self.is_awaitable(found):
            return _joined(results, cast("Awaitable[dict[str, Any]]", found))
        results.update(cast("dict[str, Any]", found))
        return results


async def _joined(results: dict[str, Any], found: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    results.update(await found)
    return results


def plain_of(type_: GraphQLObjectType) -> Mapping[str, Read]:
    """How the plain fields of a type are read, by name."""
    found: Mapping[str, Read] | None = type_.extensions.get(_PLAIN)
    if found is None:
        reads = {name: _read(field) for name, field in type_.fields.items()}
        found = {name: read for name, read in reads.items() if read} | {"__typename": lambda _: type_.name}
        type_.extensions[_PLAIN] = found
    return found


def _read(field: GraphQLField) -> Read | None:
    """What gives the completed value of a plain field, None for a null and for whatever graphql-core has to complain
    about; None if the field is not plain."""
    leaf = get_nullable_type(field.type)
    definition = (field.extensions or {}).get("strawberry-definition")
    if not is_leaf_type(leaf) or not isinstance(definition, StrawberryField) or field.args or definition.extensions:
        return None
    get = _getter(definition)
    complete = leaf.coerce_output_value

    def read(source: Any) -> Any:
        try:
            value = get(source)
            return None if value is None else complete(value)
        except Exception:
            return None  # once more on the long road, which tells

    return read if get else None


def _getter(definition: StrawberryField) -> Read | None:
    resolver = definition.base_resolver
    if resolver is None:
        return attrgetter(definition.python_name)
    parent = resolver.parent_parameter
    alone = parent is not None and [*resolver.signature.parameters] == [parent.name]
    return cast("Read", resolver.wrapped_func) if alone and not resolver.is_async else None

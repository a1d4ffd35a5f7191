"""Selection: which fields an operation asks for, so that a parent can read ahead what its children will need."""

from collections.abc import Mapping
from typing import Any, cast

from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, SelectionSetNode
from graphql.utilities import value_from_ast_untyped

from resolvers.context import Info


def names(info: Info) -> frozenset[str]:
    """The names of all fields anywhere below this one. Directives are ignored: reading too much is never wrong."""
    found: set[str] = set()
    raw = info._raw_info
    for node in raw.field_nodes:
        _collect(node.selection_set, raw.fragments, found, set())
    return frozenset(found)


def given(info: Info, name: str) -> Mapping[str, object] | None:
    """The arguments of the field of this name that stands right below this one, as they were given; None unless there
    is exactly one. Fragments are not looked into."""
    raw = info._raw_info
    found = [
        node
        for field in raw.field_nodes
        for node in (field.selection_set.selections if field.selection_set else ())
        if isinstance(node, FieldNode) and node.name.value == name
    ]
    if len(found) != 1:
        return None
    variables = cast("dict[str, Any]", raw.variable_values)
    return {one.name.value: value_from_ast_untyped(one.value, variables) for one in found[0].arguments or ()}


def _collect(
    selection: SelectionSetNode | None,
    fragments: dict[str, FragmentDefinitionNode],
    found: set[str],
    seen: set[str],
) -> None:
    for node in selection.selections if selection else ():
        if isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name not in seen:
                seen.add(name)
                _collect(fragments[name].selection_set, fragments, found, seen)
            continue
        if isinstance(node, FieldNode):
            found.add(node.name.value)
        _collect(getattr(node, "selection_set", None), fragments, found, seen)

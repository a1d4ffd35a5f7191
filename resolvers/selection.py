"""Selection: which fields an operation asks for, so that a parent can read ahead what its children will need."""

from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, SelectionSetNode

from resolvers.context import Info


def names(info: Info) -> frozenset[str]:
    """The names of all fields anywhere below this one. Directives are ignored: reading too much is never wrong."""
    found: set[str] = set()
    raw = info._raw_info
    for node in raw.field_nodes:
        _collect(node.selection_set, raw.fragments, found, set())
    return frozenset(found)


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

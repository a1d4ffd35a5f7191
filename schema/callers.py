"""Callers: which operations nobody can have an answer to, known before anything of them runs. Looks nobody up."""

from collections.abc import Iterator

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
)

# The mutations that need no account, and what else needs one whatever its arguments are.
OPEN_MUTATIONS = {"signUp", "logIn", "refreshSession"}
OWN_FIELDS = {"homeTimeline", "homeTimelineEvents"}


def needs_viewer(document: DocumentNode, operation: OperationDefinitionNode) -> bool:
    """Whether nobody can have an answer to this: something at its root is for accounts alone, and is asked for in any
    case. What a directive may leave out is the resolver's to refuse."""
    names = set(_certain(document, operation.selection_set))
    mutations = names - {"__typename"} if operation.operation is OperationType.MUTATION else set()
    return bool(names & OWN_FIELDS or mutations - OPEN_MUTATIONS)


def _certain(document: DocumentNode, selection: SelectionSetNode) -> Iterator[str]:
    """The names of the fields that are certainly asked for."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    left, seen = [selection], set[str]()
    while left:
        for node in left.pop().selections:
            if node.directives:
                continue
            if isinstance(node, FieldNode):
                yield node.name.value
            elif isinstance(node, InlineFragmentNode):
                left.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                left.append(fragments[node.name.value].selection_set)

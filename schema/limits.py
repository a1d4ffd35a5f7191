"""Limits: how much one request may ask for before it is looked at any closer."""

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)

from datastore.errors import forbidden

# Deeper than any page of a client; introspection does not count.
DEPTH = 10
# Enough for a screen; a thousand of them would be one request's way around a budget.
ALIASES = 15
TOKENS = 1000
# Objects in an answer: a hundred tweets with ten replies each and their authors.
COST = 5000
# Documents whose parse and validation are remembered.
CACHED_DOCUMENTS = 500
BODY_BYTES = 64 * 1024
SUBSCRIPTIONS_PER_SOCKET = 10
INIT_WAIT_SECONDS = 5


class NoIntrospection(ValidationRule):
    """Refuses what asks about the schema itself; `__typename` asks about an answer and is welcome."""

    def enter_field(self, node: FieldNode, *_: object) -> None:
        if node.name.value in ("__schema", "__type"):
            refused = forbidden("Introspection is off here.")
            self.report_error(GraphQLError(refused.message, node, original_error=refused))


class StaticLimits(ValidationRule):
    """Refuses a document that is too deep or has too many aliases, fragments included.

    Each fragment is measured once, so that no bomb of fragments takes long: linear in the document's size.
    """

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        definitions = context.document.definitions
        self._fragments = {one.name.value: one for one in definitions if isinstance(one, FragmentDefinitionNode)}
        self._sizes: dict[str, tuple[int, int]] = {}
        for operation in definitions:
            if isinstance(operation, OperationDefinitionNode):
                depth, aliases = self._size(operation.selection_set)
                # The outermost selections are at depth 0.
                if depth - 1 > DEPTH:
                    context.report_error(GraphQLError(f"Deeper than {DEPTH} fields.", operation))
                if aliases > ALIASES:
                    context.report_error(GraphQLError(f"More than {ALIASES} aliases.", operation))

    def _size(self, selection: SelectionSetNode | None) -> tuple[int, int]:
        """(depth, aliases)."""
        depth = aliases = 0
        for node in selection.selections if selection else ():
            if isinstance(node, FragmentSpreadNode):
                below, more = self._fragment(node.name.value)
            elif isinstance(node, FieldNode):
                below, more = (0, 0) if node.name.value.startswith("__") else self._size(node.selection_set)
                below, more = below + 1, more + bool(node.alias)
            else:
                below, more = self._size(getattr(node, "selection_set", None))
            depth, aliases = max(depth, below), aliases + more
        return depth, aliases

    def _fragment(self, name: str) -> tuple[int, int]:
        if name not in self._sizes:
            # Unknown fragments and circles are another rule's to refuse.
            self._sizes[name] = 0, 0
            if name in self._fragments:
                self._sizes[name] = self._size(self._fragments[name].selection_set)
        return self._sizes[name]

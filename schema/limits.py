"""Limits: how much one request may ask for before it is looked at any closer."""

from collections.abc import Callable, Collection
from functools import lru_cache

from graphql import (
    ASTValidationRule,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
    specified_rules,
    validate,
)
from graphql.validation import FieldsOnCorrectTypeRule, OverlappingFieldsCanBeMergedRule
from graphql.validation.validate import ValidationAbortedError
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from datastore.errors import forbidden

# Deeper than any page of a client; introspection does not count.
DEPTH = 10
# Enough for a screen; a thousand of them would be one request's way around a budget.
ALIASES = 15
TOKENS = 1000
DIRECTIVES = 50
# Steps of comparing fields that share a name, two for each pair: the documents of GraphiQL and of the tests need at
# most 20. Each is up to 4 us, and a thousand tokens have room for 500,000.
COMPARISONS = 2000
# So many are told; a document with more is not looked at further.
MISTAKES = 20
# Objects in an answer: a hundred tweets with ten replies each and their authors.
COST = 5000
# Documents whose parse and validation are remembered.
CACHED_DOCUMENTS = 500
BODY_BYTES = 64 * 1024
# A phone on a bad line sends that much in less.
BODY_WAIT_SECONDS = 10
SUBSCRIPTIONS_PER_SOCKET = 10
INIT_WAIT_SECONDS = 5


class NoIntrospection(ValidationRule):
    """Refuses what asks about the schema itself; `__typename` asks about an answer and is welcome."""

    def enter_field(self, node: FieldNode, *_: object) -> None:
        if node.name.value in ("__schema", "__type"):
            refused = forbidden("Introspection is off here.")
            self.report_error(GraphQLError(refused.message, node, original_error=refused))


class StaticLimits(ValidationRule):
    """Refuses a document that is too deep or has too many aliases, fragments included, or too many directives: that
    alone is then said, and no other rule looks any further.

    Each fragment is measured once, so that no bomb of fragments takes long: linear in the document's size.
    """

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        definitions = context.document.definitions
        self._fragments = {one.name.value: one for one in definitions if isinstance(one, FragmentDefinitionNode)}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._directives = 0

    def enter_document(self, *_: object) -> None:
        for operation in self.context.document.definitions:
            if isinstance(operation, OperationDefinitionNode):
                depth, aliases = self._size(operation.selection_set)
                # The outermost selections are at depth 0.
                if depth - 1 > DEPTH:
                    raise ValidationAbortedError(f"Deeper than {DEPTH} fields.", operation)
                if aliases > ALIASES:
                    raise ValidationAbortedError(f"More than {ALIASES} aliases.", operation)

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        self._directives += 1
        if self._directives > DIRECTIVES:
            raise ValidationAbortedError(f"More than {DIRECTIVES} directives.", node)

    def _size(self, selection: SelectionSetNode | None) -> tuple[int, int]:
        """(depth, aliases)."""
        depth = aliases = 0
        for node in selection.selections if selection else ():
            if isinstance(node, FragmentSpreadNode):
                below, more = self._fragment(node.name.value)
            elif isinstance(node, FieldNode):
                below, more = self._size(node.selection_set)
                # Introspection is as deep as it needs to be; another rule sees to that.
                below, more = 1 if node.name.value.startswith("__") else below + 1, more + bool(node.alias)
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


class FewComparisons(OverlappingFieldsCanBeMergedRule):
    """The rule of the specification, which takes quadratic time, within bounds: fields of one name in one place are
    compared in pairs."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = COMPARISONS

    def enter_selection_set(self, *args: object) -> None:
        try:
            super().enter_selection_set(*args)  # type: ignore[arg-type]
        except ValidationAbortedError:
            raise ValidationAbortedError("One field is asked for too many times in one place.") from None


# Perch's own, those of the specification with the costly one within bounds, and Strawberry's.
RULES: tuple[type[ASTValidationRule], ...] = (
    StaticLimits,
    *(FewComparisons if rule is OverlappingFieldsCanBeMergedRule else rule for rule in specified_rules),
    MaybeNullValidationRule,
    OneOfInputValidationRule,
)
# What bounds the rest, and the mistake that comes in hundreds.
_FIRST = (StaticLimits, FieldsOnCorrectTypeRule, FewComparisons)
Judge = Callable[[GraphQLSchema, DocumentNode], list[GraphQLError]]


def judge_by(rules: Collection[type[ASTValidationRule]]) -> Judge:
    """What is wrong with a document, and no word of what it may have meant; remembered for those asked lately."""

    rest = [rule for rule in rules if rule not in _FIRST]

    @lru_cache(CACHED_DOCUMENTS)
    def judged(schema: GraphQLSchema, document: DocumentNode) -> list[GraphQLError]:
        # In two steps, since some rules walk through all of it before they look at the first field.
        found = validate(schema, document, _FIRST, MISTAKES, hide_suggestions=True)
        return found or validate(schema, document, rest, MISTAKES, hide_suggestions=True)

    return judged

"""Cost: what an operation may make the server do, known before anything of it runs. Holds no budget.

The cost is the number of objects that the answer can have: a field that gives an object counts one, the rows of a
connection count `first` times what one row holds. Mutations and searches cost more than their answers are. It is an
upper bound; what the answer does not have is given back. The measure is that of GitHub's GraphQL API (its
documentation, "Rate limits and node limits for the GraphQL API"), in objects and not in hundreds of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)
from graphql.utilities import value_from_ast_untyped

# A write is a handful of round trips, waits for the majority, and others follow it.
MUTATION = 10
# A search looks at more index entries than it gives results.
SEARCH = 20
_SEARCHES = {"searchTweets", "searchUsers"}
# Lists without a `first`: mentions of a tweet, sessions of an account.
ASSUMED_ROWS = 10
# No list is longer: more is refused by who makes it.
MOST_ROWS = 100
# The rows of a connection, as many as its `first`.
_ROWS = {"edges", "nodes"}
# They say nothing of the world, or only why not.
_FREE = {"PageInfo", "RateLimit", "UserError"}

Variables = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """How many: the value of an argument or the length of its list, else the default."""

    default: int = 1
    argument: ValueNode | None = None

    def count(self, variables: Variables) -> int:
        """In [0, MOST_ROWS]. What is no number is refused by others and costs the default."""
        value = value_from_ast_untyped(self.argument, dict(variables)) if self.argument else None
        if isinstance(value, list):
            value = len(value)
        return min(max(value, 0), MOST_ROWS) if isinstance(value, int) else self.default


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A field that gives objects: `rows` of them, or as many as the `page` of the field above says if `in_page`. Each
    counts `own`; the field itself costs `surcharge` more."""

    name: str
    own: int
    surcharge: int
    rows: Rows
    in_page: bool
    page: Rows
    items: Sequence["Item"]


@dataclass(frozen=True, slots=True)
class Plan:
    """An operation, down to what costs."""

    items: Sequence[Item]
    defaults: Variables

    @property
    def surcharge(self) -> int:
        """What it costs whatever the answer is."""
        return sum(item.surcharge for item in self.items)

    def cost(self, variables: Variables) -> int:
        """What the operation costs with these variables. Each field is looked at once, however fragments share it."""
        return _Bill({**self.defaults, **variables}).total(self.items, 1)

    def heaviest(self, variables: Variables) -> str:
        """The path of the field into which the most goes."""
        bill = _Bill({**self.defaults, **variables})
        path, items, page = [], self.items, 1
        while items:
            item = max(items, key=lambda each: bill.of(each, page))
            path.append(item.name)
            items, page = item.items, item.page.count(bill.variables)
        return ".".join(path)


class _Bill:
    """One evaluation of a plan."""

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
        self._known: dict[tuple[int, int], int] = {}

    def total(self, items: Sequence[Item], page: int) -> int:
        return sum(self.of(item, page) for item in items)

    def of(self, item: Item, page: int) -> int:
        key = id(item), page
        if key not in self._known:
            rows = page if item.in_page else item.rows.count(self.variables)
            below = self.total(item.items, item.page.count(self.variables)) if item.items else 0
            self._known[key] = item.surcharge + rows * (item.own + below)
        return self._known[key]


def plan(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Plan:
    """The plan of an operation of a valid document. Linear in its size."""
    root = schema.get_root_type(operation.operation)
    assert root  # noqa: S101  validation saw to it
    surcharge = MUTATION if operation.operation is OperationType.MUTATION else 0
    items = _Planner(schema, document).items(operation.selection_set, root, surcharge)
    defaults = {
        one.variable.name.value: value_from_ast_untyped(one.default_value)
        for one in operation.variable_definitions or ()
        if one.default_value
    }
    return Plan(items, defaults)


class _Planner:
    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
        }
        self._items_of: dict[str, list[Item]] = {}

    def items(self, selection: SelectionSetNode | None, parent: GraphQLNamedType, surcharge: int = 0) -> list[Item]:
        """What costs in a selection on this type. A fragment that is spread twice there counts once."""
        found: dict[int, Item] = {}
        for node in selection.selections if selection else ():
            if isinstance(node, FieldNode):
                item = self._item(node, parent, surcharge)
                added = [item] if item else []
            elif isinstance(node, FragmentSpreadNode):
                added = self._of_fragment(node.name.value, surcharge)
            else:
                assert isinstance(node, InlineFragmentNode)  # noqa: S101  there are three kinds
                on = node.type_condition
                added = self.items(node.selection_set, self._type(on.name.value) if on else parent, surcharge)
            found |= {id(item): item for item in added}
        return list(found.values())

    def _of_fragment(self, name: str, surcharge: int) -> list[Item]:
        if name not in self._items_of:
            fragment = self._fragments[name]
            on = self._type(fragment.type_condition.name.value)
            self._items_of[name] = self.items(fragment.selection_set, on, surcharge)
        return self._items_of[name]

    def _item(self, node: FieldNode, parent: GraphQLNamedType, surcharge: int) -> Item | None:
        field: GraphQLField | None = getattr(parent, "fields", {}).get(node.name.value)
        if field is None or not is_composite_type(get_named_type(field.type)):
            return None  # a leaf, or introspection
        type_ = get_named_type(field.type)
        name = node.name.value
        return Item(
            name=node.alias.value if node.alias else name,
            own=0 if type_.name in _FREE else 1,
            surcharge=surcharge + (SEARCH if name in _SEARCHES else 0),
            rows=_rows(node, field),
            in_page=name in _ROWS and parent.name.endswith("Connection"),
            page=_page(node, field),
            items=self.items(node.selection_set, type_),
        )

    def _type(self, name: str) -> GraphQLNamedType:
        type_ = self._schema.get_type(name)
        assert type_  # noqa: S101  validation saw to it
        return type_


def _rows(node: FieldNode, field: GraphQLField) -> Rows:
    """One, unless it is a list: then as many as `first` says, or an argument lists."""
    if not is_list_type(get_nullable_type(field.type)):
        return Rows()
    if "first" in field.args:
        return _page(node, field)
    given = node.arguments or ()
    lists = [one.value for one in given if is_list_type(get_nullable_type(field.args[one.name.value].type))]
    return Rows(ASSUMED_ROWS, lists[0] if lists else None)


def _page(node: FieldNode, field: GraphQLField) -> Rows:
    """As many as `first` says."""
    if "first" not in field.args:
        return Rows()
    given = [one.value for one in node.arguments or () if one.name.value == "first"]
    return Rows(field.args["first"].default_value, given[0] if given else None)


def objects(data: object) -> int:
    """How many objects an answer has, its root not counted."""
    count, left = 0, [data]
    while left:
        value = left.pop()
        # Answers are made of exactly these two: no isinstance, since this runs for each of them.
        below = value.values() if type(value) is dict else value if type(value) is list else ()
        for part in below:
            if type(part) is dict:
                count += 1
                left.append(part)
            elif type(part) is list:
                left.append(part)
    return count

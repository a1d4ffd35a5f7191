"""The reference of the schema as a page, made from the SDL and from the pages that show its fields. Asks no server.

    python -m tests.docs.reference        # writes docs/reference.md

A test holds the page against the schema, so it is not edited by hand.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    get_named_type,
    is_introspection_type,
    is_specified_scalar_type,
    parse,
    visit,
)
from graphql.language import print_ast

from tests.docs.story import Step, steps
from tests.processes import ROOT

DOCS, SDL = ROOT / "docs", ROOT / "schema" / "schema.graphql"
PAGE = DOCS / "reference.md"
ROOTS = {"Query": "Queries", "Mutation": "Mutations", "Subscription": "Subscriptions"}
KINDS = {
    "Objects": GraphQLObjectType,
    "Interfaces": GraphQLInterfaceType,
    "Unions": GraphQLUnionType,
    "Inputs": GraphQLInputObjectType,
    "Enums": GraphQLEnumType,
}
Shown = dict[str, list[str]]


def page() -> str:
    """The whole page."""
    schema = build_schema(SDL.read_text())
    shown = shown_in(schema)
    types = [schema.type_map[name] for name in sorted(schema.type_map)]
    types = [one for one in types if not is_introspection_type(one) and not is_specified_scalar_type(one)]
    lines = ["# Reference", "", *INTRODUCTION, ""]
    for name, title in ROOTS.items():
        lines += [f"## {title}", "", *_operations(schema.type_map[name], shown)]
    for title, kind in KINDS.items():
        lines += [f"## {title}", ""]
        for one in types:
            if isinstance(one, kind) and one.name not in ROOTS:
                lines += [f"### {one.name}", "", _line(one.description), "", *_body(one, schema)]
    scalars = [one for one in types if not isinstance(one, tuple(KINDS.values()))]
    lines += [
        "## Scalars",
        "",
        *_table(("scalar", "what"), ((_code(one.name), _line(one.description)) for one in scalars)),
    ]
    return "\n".join(lines).rstrip() + "\n"


INTRODUCTION = [
    "Every field, argument and type of `/graphql`, made from `schema/schema.graphql` by",
    "`python -m tests.docs.reference`. Scalars beside the five of GraphQL are at the end. `!` means never null.",
]


def shown_in(schema: GraphQLSchema) -> Shown:
    """The pages that show a field of a root in an operation, by `Type.field`."""
    found: Shown = {}
    for path in sorted(DOCS.glob("*.md")):
        operations = [one.query for one in steps(path.read_text()) if isinstance(one, Step) and one.query]
        for name in {name for text in operations for name in _fields(schema, text)}:
            found.setdefault(name, []).append(path.name)
    return found


class _Seen(Visitor):
    """The fields that a document selects, as `Type.field`."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self._info, self.names = info, set[str]()

    def enter_field(self, node: FieldNode, *_: object) -> None:
        parent = self._info.get_parent_type()
        self.names.add(f"{parent.name if parent else ''}.{node.name.value}")


def _fields(schema: GraphQLSchema, text: str) -> set[str]:
    if text.count("{") != text.count("}"):
        return set()  # a page may show what does not parse
    seen = _Seen(info := TypeInfo(schema))
    visit(parse(text), TypeInfoVisitor(info, seen))
    return seen.names


def _operations(root: GraphQLNamedType, shown: Shown) -> Iterator[str]:
    assert isinstance(root, GraphQLObjectType)
    for name, field in root.fields.items():
        yield from (f"### {root.name}.{name}", "", f"{_line(field.description)} Gives {_link(field.type)}.", "")
        yield from _arguments(field.args)
        pages = [f"[{page.removesuffix('.md')}]({page})" for page in shown.get(f"{root.name}.{name}", ())]
        if pages:
            yield from (f"Shown in {', '.join(pages)}.", "")


def _arguments(args: Mapping[str, GraphQLArgument | GraphQLInputField], of: str = "argument") -> Sequence[str]:
    rows = [(_code(name), _link(one.type), _code(_default(one)), _told(one)) for name, one in args.items()]
    return _table((of, "type", "default", "what"), rows) if rows else []


def _body(type_: GraphQLNamedType, schema: GraphQLSchema) -> Iterator[str]:
    """What a type is made of."""
    if isinstance(type_, GraphQLEnumType):
        rows = ((_code(name), _told(value)) for name, value in type_.values.items())
        yield from _table(("value", "what"), rows)
    elif isinstance(type_, GraphQLUnionType):
        yield from (f"One of {', '.join(_link(one) for one in type_.types)}.", "")
    elif isinstance(type_, GraphQLInputObjectType):
        yield from _arguments(type_.fields, "field")
    elif isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        if type_.interfaces:
            yield from (f"Implements {', '.join(_link(one) for one in type_.interfaces)}.", "")
        if isinstance(type_, GraphQLInterfaceType):
            yield from (f"Implemented by {', '.join(map(_link, schema.get_possible_types(type_)))}.", "")
        yield from _table(("field", "type", "what"), (_field(name, one) for name, one in type_.fields.items()))


def _field(name: str, field: GraphQLField) -> tuple[str, str, str]:
    given = ", ".join(f"{arg}: {one.type}{_default(one, ' = ')}" for arg, one in field.args.items())
    return _code(f"{name}({given})" if given else name), _link(field.type), _told(field)


def _default(arg: GraphQLArgument | GraphQLInputField, before: str = "") -> str:
    """As the SDL has it; empty if there is none."""
    node = arg.ast_node.default_value if arg.ast_node else None
    return before + print_ast(node) if node else ""


def _told(one: GraphQLField | GraphQLArgument | GraphQLInputField | GraphQLEnumValue) -> str:
    gone = f" **Deprecated:** {one.deprecation_reason}" if one.deprecation_reason else ""
    return _line(one.description) + gone


def _link(type_: object) -> str:
    """A type as it is written, its name leading to where it is told."""
    name, text = get_named_type(type_).name, str(type_)  # type: ignore[call-overload]
    before, _, after = text.partition(name)
    if is_specified_scalar_type(get_named_type(type_)):  # type: ignore[call-overload]
        return text
    place = "scalars" if isinstance(get_named_type(type_), GraphQLScalarType) else name.lower()  # type: ignore[call-overload]
    # A bracket before a link would be part of it.
    return f"{before and chr(92)}{before}[{name}](#{place}){after}"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


if __name__ == "__main__":
    PAGE.write_text(page())

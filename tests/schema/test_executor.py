"""Shapes read what lies below an outermost field, and nobody can tell: answers and errors are graphql-core's."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any

import orjson
import strawberry
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry import Parent

from datastore.records import User
from schema.cost import objects
from schema.executor import VARIANTS, Shaped
from schema.shapes import KEPT_ANSWERS, Kept

Info = strawberry.Info[Any, Any]


@strawberry.enum
class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Record:
    """What resolvers give: any field may hold something that its type does not allow."""

    text: Any
    number: Any
    colour: Any
    at: Any
    below: "Any"

    @property
    def broken(self) -> str:
        if self.number == 7:
            raise ValueError("seven")
        return "whole"


@dataclass
class Bare:
    """Another kind of record."""

    text: Any


def name_of(record: Parent[Record]) -> str:
    return f"name of {record.text}"


async def later(record: Parent[Record]) -> int:
    await asyncio.sleep(0)
    return int(record.number)


def perhaps(record: Parent[Record], info: Info) -> int | None | Awaitable[int]:
    """At once for some, later for others, as a loader does."""
    assert isinstance(info.context, Record)
    future = asyncio.get_running_loop().create_future()
    future.set_result(record.number)
    return future if record.number == 0 else record.number


def gone(record: Parent[Record]) -> "Thing | None":
    return ValueError("gone") if record.text == "" else None  # type: ignore[return-value]


@strawberry.interface
class Named:
    text: str


@strawberry.type
class Plain(Named):
    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, Bare)


@strawberry.type
class Thing(Named):
    number: int
    colour: Colour
    at: datetime | None
    broken: str | None
    name: str = strawberry.field(resolver=name_of)
    later: int | None = strawberry.field(resolver=later)
    perhaps: int | None = strawberry.field(resolver=perhaps)  # type: ignore[assignment]
    gone: "Thing | None" = strawberry.field(resolver=gone)

    @strawberry.field
    def shown(parent: Parent[Record], twice: bool = False) -> str:  # noqa: N805
        return f"{twice} {parent.text}"

    @strawberry.field
    def where(parent: Parent[Record], info: Info) -> str:  # noqa: N805
        return f"{info.path.as_list()}"

    @strawberry.field
    def below(parent: Parent[Record]) -> "list[Thing | None]":  # noqa: N805
        return parent.below  # type: ignore[no-any-return]

    @strawberry.field
    async def waited(parent: Parent[Record], first: int = 2) -> "list[Thing]":  # noqa: N805
        await asyncio.sleep(0)
        return parent.below[:first]  # type: ignore[no-any-return]

    @strawberry.field
    def named(parent: Parent[Record]) -> "list[Named | None]":  # noqa: N805
        return [*parent.below, Bare(parent.text)]

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, Record)


@strawberry.type
class Holder:
    text: str | None
    either: list[Annotated[Thing | Plain, strawberry.union("Either")] | None]


@strawberry.type
class Query:
    @strawberry.field
    def thing(self, info: Info) -> Thing | None:
        return info.context  # type: ignore[no-any-return]

    @strawberry.field
    async def things(self, info: Info) -> list[Thing]:
        return [info.context, *info.context.below]

    @strawberry.field
    def holder(self, info: Info) -> Holder:
        record = info.context
        return Holder(text=record.text, either=[Bare(record.text), record, *record.below])  # type: ignore[list-item]


class Noted(Shaped):
    """The executor that completed a value last."""

    last: Shaped

    def complete_value(self, *given: Any) -> Any:
        Noted.last = self
        return super().complete_value(*given)


STOCK, OURS = (
    strawberry.Schema(Query, types=[Plain]),
    strawberry.Schema(Query, types=[Plain], execution_context_class=Noted),
)
FIELDS = ["__typename", "text", "number", "colour", "at", "broken", "name", "later", "perhaps", "shown"]
FIELDS += ["twice: shown(twice: true)", "asked: shown(twice: $yes)", "...Basics"]
# Seldom, since they are graphql-core's.
FIELDS += [*FIELDS, *FIELDS, "where", "gone"]
CONDITIONS = ["", "", "", "@include(if: $yes)", "@skip(if: $no)", "@include(if: true)", "@skip(if: $yes)"]
BELOW = ["below", "waited", "one: waited(first: 1)", "some: waited(first: $first)"]


def leaf(name: str, aliased: bool, condition: str) -> str:
    """A field as it stands in a document. One alias is one field, or the document would be refused."""
    alias = f"{name}_: " if aliased and name.isidentifier() and not name.startswith("__") else ""
    return f"{alias}{name} {condition} {'{ text }' if name == 'gone' else ''}"


leaves = st.builds(leaf, st.sampled_from(FIELDS), st.booleans(), st.sampled_from(CONDITIONS))
selections = st.recursive(
    st.lists(leaves, min_size=1, max_size=6).map(" ".join),
    lambda inner: st.builds(
        "{0} {4} {5} {{ {1} }} ... on Thing {5} {{ {2} }} named {{ __typename text ... on Thing {{ {3} }} }}".format,
        inner, inner, inner, inner, st.sampled_from(BELOW), st.sampled_from(CONDITIONS),
    ),
    max_leaves=4,
)  # fmt: skip
good = {
    "text": st.sampled_from(["x", "y"]),
    "number": st.sampled_from([0, 1, True]),
    "colour": st.sampled_from([Colour.RED, Colour.BLUE]),
    "at": st.sampled_from([datetime(2026, 1, 2, tzinfo=UTC), None]),
}
bad = {
    "text": st.sampled_from(["x", "", 5, None, object]),
    "number": st.sampled_from([0, 7, 1 << 40, "8", "x", None]),
    "colour": st.sampled_from([Colour.RED, "RED", None]),
    "at": st.sampled_from([None, "soon"]),
}


def records(values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Record]:
    return st.recursive(
        st.builds(Record, **values, below=st.just([])),
        lambda inner: st.builds(Record, **values, below=st.lists(inner, max_size=3)),
        max_leaves=6,
    )


roots = st.sampled_from(
    [
        "thing {{ {0} }}",
        "things {{ {0} }}",
        "thing {{ {0} }} again: thing {{ text {0} }}",
        "things {{ {0} }} thing {{ {0} }}",
        "holder {{ text either {{ ... on Plain {{ text }} ... on Thing {{ {0} }} ... on Named {{ called: text }} }} }}",
    ]
)


class Result:
    """What an operation came to."""

    def __init__(self, result: Any) -> None:
        self.failed = bool(result.errors)
        self.objects = objects(result.data)
        errors = sorted(orjson.dumps(error.formatted) for error in result.errors or ())
        self.data, self.errors = orjson.dumps(result.data), errors
        self.told = self.data, errors


async def told(schema: strawberry.Schema, document: str, record: Record, variables: Any = None) -> Result:
    return Result(await schema.execute(document, context_value=record, variable_values=variables))


def document_of(root: str, selection: str) -> str:
    """Every variable and fragment has to be used, or the document would be refused."""
    used = "used: thing { ...Basics text @skip(if: $no) waited(first: $first) { text } }"
    return (
        "query ($yes: Boolean!, $no: Boolean = false, $first: Int! = 1) { __typename "
        + root.format(selection)
        + used
        + "}"
        " fragment Basics on Thing { text name number @include(if: $yes) }"
    )


variables = st.fixed_dictionaries({"yes": st.booleans()}, optional={"no": st.booleans(), "first": st.integers(0, 3)})


@settings(max_examples=100, deadline=None)
@given(roots, selections, records(good) | records(good | bad), st.lists(variables, min_size=1, max_size=3))
async def test_any_document_over_any_records_is_answered_as_the_stock_executor_does(
    root: str, selection: str, record: Record, given_values: list[Any]
) -> None:
    document = document_of(root, selection)
    for values in given_values:
        ours, stock = await told(OURS, document, record, values), await told(STOCK, document, record, values)
        assert ours.data == stock.data
        # Of no data nothing is paid, whatever was made of it before.
        assert ours.data == b"null" or Noted.last.objects in (None, ours.objects)
        if ours.data == b"null":
            # One error took everything along. What else was under way then may be told as well, or not.
            assert ours.errors
            assert set(ours.errors) <= set(stock.errors)
        else:
            assert ours.errors == stock.errors


async def test_what_goes_well_is_read_by_its_shape_and_all_else_by_the_book(monkeypatch: Any) -> None:
    thrown: list[str] = []
    by_the_book = Shaped._by_the_book

    def noted(self: Shaped, given: Any, reading: Any) -> Any:
        thrown.append(self.context_value.text)
        return by_the_book(self, given, reading)

    monkeypatch.setattr(Shaped, "_by_the_book", noted)
    for text in ("x", ""):
        record = Record(text, 1, Colour.RED, None, [Record("y", 0, Colour.BLUE, None, [])])
        await told(OURS, "{ thing { text below { later perhaps } named { text } gone { text } } }", record)
    assert thrown == [""]


async def test_what_is_read_by_shapes_is_counted_as_it_is_made() -> None:
    record = Record("x", 1, Colour.RED, None, [Record("y", 0, Colour.BLUE, None, [])] * 3)
    selection = "text waited { text named { text } } below { later gone { text } } perhaps"
    found = await told(OURS, f"{{ __typename thing {{ {selection} }} things {{ {selection} }} }}", record)
    assert found.objects == 19
    assert Noted.last.objects == found.objects


async def test_who_tries_every_condition_is_answered_all_the_same() -> None:
    names = "abcdefgh"
    asked = " ".join(f"{name}: text @include(if: ${name})" for name in names)
    document = f"query ({', '.join(f'${name}: Boolean!' for name in names)}) {{ thing {{ number {asked} }} }}"
    record = Record("x", 1, Colour.RED, None, [])
    for number in range(2 * VARIANTS):
        values = {name: bool(number >> at & 1) for at, name in enumerate(names)}
        result: Any = await OURS.execute(document, context_value=record, variable_values=values)
        assert result.data["thing"] == {"number": 1} | {name: "x" for name in names if values[name]}


def test_answers_are_kept_by_the_very_record_and_the_oldest_go_first() -> None:
    kept = Kept()
    people = [User(number, "ann", "Ann", "", 0, 0, 0, False) for number in range(KEPT_ANSWERS + 1)]
    for person in people:
        kept.put(1, person, {"id": person.id})
    assert [kept.get(1, person) for person in people[:2]] == [None, {"id": 1}]
    assert kept.get(2, people[1]) is None
    # Equal, and read at another time.
    assert kept.get(1, User(1, "ann", "Ann", "", 0, 0, 0, False)) is None

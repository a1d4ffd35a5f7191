"""The executor reads plain fields in place, and nobody can tell: answers and errors are graphql-core's."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import orjson
import strawberry
from graphql import get_nullable_type, is_leaf_type
from hypothesis import given
from hypothesis import strategies as st
from strawberry import Parent

from schema.build import build
from schema.executor import InPlace, plain_of


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


def name_of(record: Parent[Record]) -> str:
    return f"name of {record.text}"


async def later(record: Parent[Record]) -> int:
    await asyncio.sleep(0)
    return int(record.number)


@strawberry.type
class Thing:
    text: str
    number: int
    colour: Colour
    at: datetime | None
    broken: str | None
    name: str = strawberry.field(resolver=name_of)
    later: int | None = strawberry.field(resolver=later)

    @strawberry.field
    def shown(parent: Parent[Record], info: strawberry.Info[Any, Any], twice: bool = False) -> str:  # noqa: N805
        return f"{info.path.key} {twice} {parent.text}"

    @strawberry.field
    def below(parent: Parent[Record]) -> "list[Thing | None]":  # noqa: N805
        return parent.below  # type: ignore[no-any-return]

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, Record)


@strawberry.type
class Query:
    @strawberry.field
    def thing(self, info: strawberry.Info[Any, Any]) -> Thing | None:
        return info.context  # type: ignore[no-any-return]


STOCK, OURS = strawberry.Schema(Query), strawberry.Schema(Query, execution_context_class=InPlace)
FIELDS = ["__typename", "text", "number", "colour", "at", "broken", "name", "later", "shown", "shown(twice: true)"]
leaves = st.builds(
    lambda name, alias: f"{alias}{name}", st.sampled_from(FIELDS), st.sampled_from(["", "", "a: ", "b: "])
)
selections = st.recursive(
    st.lists(leaves, min_size=1, max_size=6).map(" ".join),
    lambda inner: st.builds(
        lambda before, below, after: f"{before} below {{ {below} }} ... on Thing {{ {after} }}", inner, inner, inner
    ),
    max_leaves=4,
)
values = {
    "text": st.sampled_from(["x", "", 5, None, object]),
    "number": st.sampled_from([0, 7, 1 << 40, True, "8", "x", None]),
    "colour": st.sampled_from([Colour.RED, Colour.BLUE, "RED", None]),
    "at": st.sampled_from([datetime(2026, 1, 2, tzinfo=UTC), None, "soon"]),
}
records = st.recursive(
    st.builds(Record, **values, below=st.just([])),
    lambda inner: st.builds(Record, **values, below=st.lists(inner | st.none(), max_size=3)),
    max_leaves=6,
)


async def told(schema: strawberry.Schema, document: str, record: Record) -> bytes:
    result: Any = await schema.execute(document, context_value=record)
    return orjson.dumps({"data": result.data, "errors": [error.formatted for error in result.errors or ()]})


@given(selections, records)
async def test_any_document_over_any_records_is_answered_as_the_stock_executor_does(
    selection: str, record: Record
) -> None:
    document = f"{{ thing {{ {selection} }} }}"
    assert await told(OURS, document, record) == await told(STOCK, document, record)


async def test_plain_fields_are_read_in_place_and_no_other() -> None:
    assert {*plain_of(OURS._schema.get_type("Thing"))} == {  # type: ignore[arg-type]
        "__typename", "text", "number", "colour", "at", "broken", "name",
    }  # fmt: skip
    tweet: Any = build()._schema.get_type("Tweet")
    leaves = {name for name, field in tweet.fields.items() if is_leaf_type(get_nullable_type(field.type))}
    # Who asks is in the info.
    assert leaves - {*plain_of(tweet)} == {"viewerHasLiked", "viewerHasRetweeted"}

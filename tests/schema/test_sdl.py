"""The public contract: the schema that is served is the one that is checked in, every part of it is described, and
nothing that was released is taken away.
"""

from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_schema,
)
from graphql.utilities import find_breaking_changes

from schema.build import build

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"
RELEASED = SDL.with_name("released.graphql")


def test_the_served_schema_is_the_one_that_is_checked_in() -> None:
    assert build().as_str() + "\n" == SDL.read_text(), "run: python -m app sdl > schema/schema.graphql"


def breaks(old: str, new: str) -> list[str]:
    """What clients of the old schema lose with the new one, in words."""
    return [change.description for change in find_breaking_changes(build_schema(old), build_schema(new))]


def test_nothing_that_was_released_is_taken_away() -> None:
    assert breaks(RELEASED.read_text(), SDL.read_text()) == [], "see CONTRIBUTING.md on releases"


@pytest.mark.parametrize(
    ("now", "becomes", "lost"),
    [
        ("  likeCount: Int!", "  likeCount: Int", "Tweet.likeCount changed type from Int! to Int."),
        ("  likeCount: Int!", "  likes: Int!", "Field Tweet.likeCount was removed."),
        ("  SELF_ACTION", "  SELF_DEED", "Enum value ErrorCode.SELF_ACTION was removed."),
        ("  text: String!\n\n", "  text: String!\n  lang: String!\n", "lang"),
    ],
)
def test_what_a_client_would_lose_is_named(now: str, becomes: str, lost: str) -> None:
    released = SDL.read_text()
    assert now in released
    assert any(lost in each for each in breaks(released, released.replace(now, becomes)))


def test_every_element_is_described() -> None:
    missing = []
    for name, type_ in build_schema(SDL.read_text()).type_map.items():
        if name.startswith("__") or name in ("String", "Int", "Boolean", "ID", "Float"):
            continue
        if not type_.description:
            missing.append(name)
        if isinstance(type_, GraphQLEnumType):
            missing += [f"{name}.{value}" for value, found in type_.values.items() if not found.description]
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for field_name, field in type_.fields.items():
                if not field.description:
                    missing.append(f"{name}.{field_name}")
                missing += [
                    f"{name}.{field_name}({arg})"
                    for arg, found in getattr(field, "args", {}).items()
                    if not found.description
                ]
    assert missing == []

"""The public contract: the schema that is served is the one that is checked in, and every part of it is described."""

from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_schema,
)

from schema.build import build

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"


def test_the_served_schema_is_the_one_that_is_checked_in() -> None:
    assert build().as_str() + "\n" == SDL.read_text(), "run: python -m app sdl > schema/schema.graphql"


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

"""The reference is made from the schema that is served."""

from graphql import build_schema

from tests.docs import reference
from tests.test_docs import anchors


def test_the_reference_is_what_the_schema_and_the_pages_give() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run: python -m tests.docs.reference"


def test_every_type_and_every_field_of_a_root_has_a_place() -> None:
    schema, places = build_schema(reference.SDL.read_text()), anchors(reference.PAGE)
    for name, type_ in schema.type_map.items():
        if hasattr(type_, "fields") and name in reference.ROOTS:
            assert {f"{name}{field}".lower() for field in type_.fields} <= places
        elif not name.startswith("__") and name not in ("ID", "Int", "String", "Float", "Boolean", "DateTime"):
            assert name.lower() in places


def test_what_a_page_shows_is_found_by_the_types_of_its_fields() -> None:
    shown = reference.shown_in(build_schema(reference.SDL.read_text()))
    assert "posting.md" in shown["Mutation.postTweet"]
    assert "live.md" in shown["Subscription.homeTimelineEvents"]

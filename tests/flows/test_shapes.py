"""Random documents of the whole schema are answered by shapes as by graphql-core alone, over the same records."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from graphql import GraphQLNonNull, GraphQLObjectType, get_named_type, is_abstract_type, is_leaf_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

import app
from resolvers.context import Context, Services
from schema.build import PerchSchema, build
from schema.globalid import of_type
from tests.perch import Perch, Person

OURS, STOCK = build(), build()
STOCK.execution_context_class = StrawberryGraphQLCoreExecutionContext
# They tell the time, or when something was asked.
TIMES = {"computedAt", "resetAt", "score", "liveCursor", "lastUsedAt", "rateLimit", "sessions"}
# Values for the arguments that have no default; junk is among them, which is an error in its place.
GIVEN = {
    "username": ["$name", '"nobody"'],
    "id": ["$tweet", "$user", '"junk"'],
    "ids": ["[$tweet, $user]"],
    "query": ['"words"', '"#tag words"', '""'],
}
FIRSTS = ["2", "3", "0"]


def fields_of(type_: Any, depth: int) -> st.SearchStrategy[str]:
    """A selection on this type."""
    if is_abstract_type(type_):
        parts = [st.tuples(st.just(one.name), fields_of(one, depth)) for one in possible(type_)]
        spread = (part.map(lambda named: f"... on {named[0]} {{ {named[1]} }}") for part in parts)
        return st.tuples(*spread).map(" ".join).map(lambda told: f"__typename {told}")
    assert isinstance(type_, GraphQLObjectType)
    below = [name for name, field in type_.fields.items() if depth or is_leaf_type(get_named_type(field.type))]
    names = st.lists(st.sampled_from([*{*below} - TIMES, "__typename"]), min_size=1, max_size=5, unique=True)
    return names.flatmap(lambda chosen: st.tuples(*(asked(type_, name, depth) for name in sorted(chosen)))).map(
        " ".join
    )


def possible(type_: Any) -> Any:
    return OURS._schema.get_possible_types(type_)


def asked(parent: GraphQLObjectType, name: str, depth: int) -> st.SearchStrategy[str]:
    """A field with its arguments and what is asked below it, under a name of its own."""
    if name == "__typename":
        return st.just(name)
    field = parent.fields[name]
    choices = [GIVEN[one] for one, argument in field.args.items() if isinstance(argument.type, GraphQLNonNull)]
    required = [one for one, argument in field.args.items() if isinstance(argument.type, GraphQLNonNull)]
    if "first" in field.args:
        required, choices = [*required, "first"], [*choices, FIRSTS]
    values = st.tuples(*map(st.sampled_from, choices))
    arguments = values.map(lambda those: ", ".join(map("{}: {}".format, required, those)))
    called = arguments.map(lambda told: f"{name}({told})" if told else name)
    # Not everywhere: a document has fifteen of them at most.
    alias = st.sampled_from(["", f"{name}_{depth}_{parent.name}: "] if depth > 1 else [""])
    condition = st.sampled_from(["", "", "", "@include(if: $yes)", "@skip(if: $yes)"])
    head = st.tuples(alias, called, st.just(" "), condition).map("".join)
    type_ = get_named_type(field.type)
    if is_leaf_type(type_):
        return head
    return st.tuples(head, fields_of(type_, depth - 1)).map(lambda two: f"{two[0]} {{ {two[1]} }}")


def documents() -> st.SearchStrategy[str]:
    query = OURS._schema.query_type
    assert query
    roots = st.sampled_from(sorted({*query.fields} - TIMES)).flatmap(lambda name: asked(query, name, 3))
    used = "used: nodes(ids: [$tweet, $user]) { __typename @include(if: $yes) } named: user(username: $name) { id }"
    head = "query ($yes: Boolean!, $tweet: ID!, $user: ID!, $name: String!)"
    return roots.map(lambda root: f"{head} {{ {root} {used} }}")


@pytest.fixture(scope="module")
async def services(perch: Perch) -> AsyncIterator[Services]:
    async with app.clients(perch.settings) as clients, app.services_of(perch.settings, clients) as services:
        yield services


@pytest.fixture(scope="module")
async def world(perch: Perch) -> tuple[Person, dict[str, Any]]:
    """A viewer, and what the variables name."""
    ann, bob = await perch.persons(2)
    await ann.follow(bob)
    tweet = (await bob.post(f"words of @{ann.username} #tag"))["id"]
    for number in range(4):
        await ann.post(f"words {number}", inReplyTo=tweet)
        await bob.post(f"words {number}")
    await ann.like(tweet)
    await perch.settle()
    return ann, {"tweet": tweet, "user": bob.id, "name": bob.username}


async def told(schema: PerchSchema, context: Context, document: str, variables: dict[str, Any]) -> tuple[bytes, Any]:
    result: Any = await schema.execute(document, variable_values=variables, context_value=context)
    errors = ({**error.formatted, "extensions": error.extensions.get("code")} for error in result.errors or ())
    return orjson.dumps(result.data), sorted(map(orjson.dumps, errors))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents(), st.booleans(), st.booleans())
async def test_any_document_is_answered_as_graphql_core_alone_answers_it(
    services: Services, world: tuple[Person, dict[str, Any]], document: str, yes: bool, anonymous: bool
) -> None:
    viewer, named = world
    viewer_id = None if anonymous else of_type(viewer.id, "User")
    answers = [
        await told(schema, Context(services, "127.0.0.1", viewer_id=viewer_id), document, named | {"yes": yes})
        for schema in (OURS, STOCK)
    ]
    assert answers[0] == answers[1]
    assert b"GRAPHQL_VALIDATION_FAILED" not in b"".join(answers[0][1]), document


async def test_a_record_that_is_shown_again_is_shown_to_each_viewer_as_theirs(
    services: Services, world: tuple[Person, dict[str, Any]]
) -> None:
    ann, named = world
    document = """query ($tweet: ID!, $name: String!) {
      tweet(id: $tweet) { id text viewerHasLiked likeCount author { username } }
      user(username: $name) { id viewerIsFollowing username } }"""
    seen = []
    for viewer_id in (of_type(ann.id, "User"), None, of_type(named["user"], "User")) * 2:
        answers = [
            await told(schema, Context(services, "127.0.0.1", viewer_id=viewer_id), document, named)
            for schema in (OURS, STOCK)
        ]
        assert answers[0] == answers[1]
        data = orjson.loads(answers[0][0])
        seen.append((data["tweet"]["viewerHasLiked"], data["user"]["viewerIsFollowing"]))
    assert seen == [(True, True), (False, False), (False, False)] * 2

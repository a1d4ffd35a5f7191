"""Hostile documents: deep, wide, long, circular and exploding ones end with a code before anything of them runs, over
HTTP and over a socket alike."""

from typing import Any

import pytest
from graphql import get_introspection_query

from resolvers import guards
from tests.perch import Perch
from tests.security.bodies import codes, document, nested, send
from tests.security.talk import alive, refused


def bomb(one: str, other: str, fragments: int) -> str:
    """Each fragment holds the next twice, below two lists."""
    hop = "fragment F%d on User { %s { nodes { author { ...F%d } } } %s { nodes { author { ...F%d } } } }"
    parts = [hop % (n, one, n + 1, other, n + 1) for n in range(fragments)]
    return " ".join(["{ viewer { user { ...F0 } } }", *parts, f"fragment F{fragments} on User {{ id }}"])


BAD_DOCUMENTS = {
    "half a document": ("{", "GRAPHQL_PARSE_FAILED"),
    "only a comment": ("# nothing", "GRAPHQL_PARSE_FAILED"),
    "no GraphQL": ("SELECT * FROM users", "GRAPHQL_PARSE_FAILED"),
    "unknown field": ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
    "unknown directive": ("{ __typename @nope }", "GRAPHQL_VALIDATION_FAILED"),
    "5,000 aliases": ("{" + " ".join(f"a{n}:a" for n in range(5000)) + "}", "GRAPHQL_PARSE_FAILED"),
    "16 aliases": ("{" + " ".join(f"a{n}: __typename" for n in range(16)) + "}", "GRAPHQL_VALIDATION_FAILED"),
    "16 aliases in a fragment": (
        "{ ...A } fragment A on Query {" + " ".join(f"a{n}: __typename" for n in range(16)) + "}",
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "1,001 tokens": ("{" + "__typename " * 1000 + "}", "GRAPHQL_PARSE_FAILED"),
    "400 fields deep": ("{a" * 400 + "}" * 400, "GRAPHQL_PARSE_FAILED"),
    "400 values deep": ("{ user(username: " + "[" * 400 + "]" * 400 + ") { id } }", "GRAPHQL_PARSE_FAILED"),
    "400 types deep": ("query ($a: " + "[" * 400 + "Int" + "]" * 400 + ") { __typename }", "GRAPHQL_PARSE_FAILED"),
    "11 fields deep": (
        '{ user(username: "a")' + "{ followers { nodes" * 5 + "{ id }" + "} }" * 5 + "}",
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "circular fragments": (
        "{ viewer { user { ...A } } } fragment A on User { ...B } fragment B on User { ...A }",
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "a fragment of itself": ("{ viewer { user { ...A } } } fragment A on User { ...A }", "GRAPHQL_VALIDATION_FAILED"),
    "two operations of one name": ("query A { __typename } query A { __typename }", "GRAPHQL_VALIDATION_FAILED"),
    "two operations without a name": ("{ __typename } { __typename }", "GRAPHQL_VALIDATION_FAILED"),
    "an operator for a string": ('{ user(username: {gt: ""}) { id } }', "GRAPHQL_VALIDATION_FAILED"),
    "incremental delivery": ("{ viewer { user { ... @defer { id } } } }", "GRAPHQL_VALIDATION_FAILED"),
    "1,000 aliases": ("{" + " ".join(f"a{n}:a" for n in range(1000)) + "}", "GRAPHQL_PARSE_FAILED"),
    "30,000 fields": ("{" + "a " * 30_000 + "}", "GRAPHQL_PARSE_FAILED"),
    "16 aliases in introspection": (
        "{ __schema {" + " ".join(f"a{n}: queryType {{ name }}" for n in range(16)) + "} }",
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "introspection in circles": (
        "{ __schema { types {" + " fields { type {" * 4 + " name " + "} }" * 4 + "} } }",
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "51 directives": (
        "{ viewer { user {" + " id @skip(if: false) @include(if: true)" * 26 + "} } }",
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "one field 990 times": ("{" + "__typename " * 990 + "}", "GRAPHQL_VALIDATION_FAILED"),
    "one field 480 times, deeper": ("{ viewer { user {" + "id " * 480 + "} } }", "GRAPHQL_VALIDATION_FAILED"),
    "one object 140 times": ("{" + "viewer { user { id } } " * 140 + "}", "GRAPHQL_VALIDATION_FAILED"),
    "one field with 110 arguments": (
        "{" + " ".join(f'user(username: "{n}") {{ id }}' for n in range(110)) + "}",
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "980 fields that are not there": ("{" + " ".join(f"x{n}" for n in range(980)) + "}", "GRAPHQL_VALIDATION_FAILED"),
    "20 fragments in all circles": (
        "{ viewer { user { ...F0 } } } "
        + " ".join(f"fragment F{n} on User {{" + " ".join(f"...F{m}" for m in range(20)) + "}" for n in range(20)),
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "a bomb of 35 fragments": (bomb("tweets", "likes", 35), "GRAPHQL_VALIDATION_FAILED"),
    "a bomb of 35 fragments with one name": (bomb("tweets", "tweets", 35), "GRAPHQL_VALIDATION_FAILED"),
    "a bomb of two fragments": (bomb("tweets(first: 100)", "likes(first: 100)", 2), "QUERY_TOO_COSTLY"),
    "240 variables of one name": ("query (" + "$v: Int " * 240 + ") { __typename }", "GRAPHQL_VALIDATION_FAILED"),
    "300 inputs of one name": (
        "mutation { postTweet(input: {" + 'text: "a" ' * 300 + "}) { errors { code } } }",
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "100 lists of lists": (
        "query ($n: Int = 100) { topTweets(first: $n) { nodes { tweet { replies(first: $n) { nodes { id } } } } } }",
        "QUERY_TOO_COSTLY",
    ),
}


@pytest.fixture
def charged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The costs of the operations that were charged, as all are before anything of them runs."""
    seen: list[int] = []
    charge = guards.charge

    async def counted(context: Any, cost: int) -> None:
        seen.append(cost)
        await charge(context, cost)

    monkeypatch.setattr(guards, "charge", counted)
    return seen


async def test_a_good_document_is_charged(perch: Perch, charged: list[int]) -> None:
    await send(perch, document("{ viewer { email } }"))
    assert charged == [1]


@pytest.mark.parametrize(("query", "code"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
async def test_a_bad_document_is_refused_with_a_code_before_anything_runs(
    perch: Perch, charged: list[int], query: str, code: str
) -> None:
    for accept, status in (("application/json", 200), ("application/graphql-response+json", 400)):
        response = await send(perch, document(query), accept=accept)
        assert response.status_code == status
        assert codes(response)[0] == code
        assert "Did you mean" not in response.text
    async with perch.socket() as socket:
        await socket.init()
        assert (await refused(socket, "1", query))[0] == code
        assert charged == []
        await alive(socket)


async def test_the_introspection_of_an_ide_is_within_the_limits(perch: Perch) -> None:
    full = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    answer = await perch.ask(full)
    assert not answer.errors
    assert answer.data["__schema"]["queryType"]["name"] == "Query"


async def test_10_fields_deep_and_15_aliases_are_allowed(perch: Perch) -> None:
    deep = '{ user(username: "a")' + "{ followers(first: 5) { nodes" * 4 + "{ followingCount }" + "} }" * 4 + "}"
    wide = "{" + " ".join(f"a{n}: __typename" for n in range(15)) + "}"
    for query in (deep, wide):
        assert not (await perch.ask(query)).errors


async def test_an_unused_variable_of_any_depth_changes_nothing(perch: Perch) -> None:
    for depth in (10, 900):
        body = '{"query": "{__typename}", "variables": ' + nested("a", depth) + "}"
        assert (await send(perch, body)).json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("depth", [10, 900])
async def test_a_variable_that_is_too_deep_for_its_type_is_bad_input(perch: Perch, depth: int) -> None:
    query = "mutation ($i: LogInInput!) { logIn(input: $i) { errors { code } } }"
    body = '{"query": "' + query + '", "variables": {"i": ' + nested("password", depth) + "}}"
    response = await send(perch, body)
    assert response.status_code in (200, 400)
    assert codes(response)[0] == "BAD_USER_INPUT"


async def test_a_literal_of_5000_digits_is_refused_and_not_our_fault(perch: Perch) -> None:
    query = '{ user(username: "a") { tweets(first: %s) { nodes { id } } } }' % ("9" * 5000)
    assert codes(await send(perch, document(query)))[0] in ("BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED")


async def test_a_fragment_that_is_not_there_is_refused_and_not_our_fault(perch: Perch) -> None:
    assert codes(await send(perch, document("{ viewer { ...Nope } }"))) == ["GRAPHQL_VALIDATION_FAILED"]


async def test_of_two_operations_one_has_to_be_named(perch: Perch) -> None:
    query = "query A { __typename } query B { __typename }"
    assert (await send(perch, document(query, operationName="B"))).json() == {"data": {"__typename": "Query"}}
    assert codes(await send(perch, document(query)))[0] in ("BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED")


async def test_an_unused_variable_is_an_error_of_the_document(perch: Perch) -> None:
    query = "query ($a: Int) { __typename }"
    assert codes(await send(perch, document(query))) == ["GRAPHQL_VALIDATION_FAILED"]

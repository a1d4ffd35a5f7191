"""GraphQL over HTTP: whatever the body is, the answer is JSON with coded errors, and never the server's fault."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.perch import Perch

JSON = {"content-type": "application/json"}
OK = '{"query": "{__typename}"}'


def document(query: str, **more: Any) -> str:
    return json.dumps({"query": query, **more})


async def send(perch: Perch, body: str | bytes, **headers: str) -> httpx.Response:
    return await perch.http.post("/graphql", content=body, headers=JSON | headers)


def codes(response: httpx.Response) -> list[str]:
    """The codes of an answer that is shaped as GraphQL asks, without data."""
    assert response.headers["content-type"] == "application/json", response.text
    body = response.json()
    assert body.get("data") is None
    assert body["errors"]
    assert all(isinstance(error["message"], str) for error in body["errors"])
    return [error["extensions"]["code"] for error in body["errors"]]


def nested(name: str, depth: int) -> str:
    """An object in an object and so on."""
    return f'{{"{name}":' * depth + "1" + "}" * depth


NO_OPERATIONS = {
    "empty": "",
    "spaces": "   ",
    "null": "null",
    "true": "true",
    "number": "5",
    "string": '"{__typename}"',
    "empty list": "[]",
    "a batch": f"[{OK}]",
    "a list of scalars": "[5]",
    "empty object": "{}",
    "null query": '{"query": null}',
    "empty query": '{"query": ""}',
    "query is a number": '{"query": 5}',
    "query is a list": '{"query": ["{__typename}"]}',
    "variables are a list": '{"query": "{__typename}", "variables": []}',
    "variables are a string": '{"query": "{__typename}", "variables": "{}"}',
    "extensions are a number": '{"query": "{__typename}", "extensions": 5}',
    "unknown operation": '{"query": "{__typename}", "operationName": "x"}',
    "operation name is a list": '{"query": "{__typename}", "operationName": [1]}',
    "operation name is an object": '{"query": "{__typename}", "operationName": {"$gt": ""}}',
    "only a fragment": document("fragment U on User { id }"),
    "half an object": '{"query": "{__typename}"',
    "two objects": OK + OK,
    "single quotes": "{'query': '{__typename}'}",
    "NaN": '{"query": "{__typename}", "variables": {"a": NaN}}',
    "infinity": '{"query": "{__typename}", "variables": {"a": 1e999}}',
    "5,000 digits": '{"query": "{__typename}", "variables": {"a": %s}}' % ("9" * 5000),
    "bad UTF-8": b'{"query": "{__typename} #\xff\xfe"}',
    "overlong UTF-8": b'{"query": "{__typename} #\xc0\xaf"}',
    "lone surrogate": '{"query": "{__typename}", "variables": {"a": "\\ud800"}}',
    "UTF-16": OK.encode("utf-16"),
    "UTF-32": OK.encode("utf-32"),
    "NUL": '{"query": "{__typename}"}\x00',
    "60,000 lists deep": "[" * 60_000,
    "30,000 lists deep": "[" * 30_000 + "]" * 30_000,
    "10,000 objects deep": '{"query": "{__typename}", "variables": ' + nested("a", 10_000) + "}",
}


@pytest.mark.parametrize("body", NO_OPERATIONS.values(), ids=NO_OPERATIONS)
async def test_a_body_that_is_no_operation_is_refused_with_400(perch: Perch, body: str | bytes) -> None:
    response = await send(perch, body)
    assert response.status_code == 400
    assert codes(response) == ["BAD_USER_INPUT"]


BAD_DOCUMENTS = {
    "half a document": ("{", "GRAPHQL_PARSE_FAILED"),
    "only a comment": ("# nothing", "GRAPHQL_PARSE_FAILED"),
    "no GraphQL": ("SELECT * FROM users", "GRAPHQL_PARSE_FAILED"),
    "unknown field": ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
    "unknown directive": ("{ __typename @nope }", "GRAPHQL_VALIDATION_FAILED"),
    "20,000 aliases": ("{" + " ".join(f"a{n}:a" for n in range(5000)) + "}", "GRAPHQL_PARSE_FAILED"),
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
}


@pytest.mark.parametrize(("query", "code"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
async def test_a_bad_document_is_refused_with_a_code_before_anything_runs(perch: Perch, query: str, code: str) -> None:
    response = await send(perch, document(query))
    assert response.status_code in (200, 400)
    assert codes(response)[0] == code
    assert "Did you mean" not in response.text


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
    query = "mutation ($i: PostTweetInput!) { postTweet(input: $i) { errors { code } } }"
    body = '{"query": "' + query + '", "variables": {"i": ' + nested("text", depth) + "}}"
    response = await send(perch, body)
    assert response.status_code in (200, 400)
    assert codes(response)[0] == "BAD_USER_INPUT"


async def test_a_literal_of_5000_digits_is_refused_and_not_our_fault(perch: Perch) -> None:
    query = '{ user(username: "a") { tweets(first: %s) { nodes { id } } } }' % ("9" * 5000)
    assert codes(await send(perch, document(query)))[0] in ("BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED")


async def test_a_fragment_that_is_not_there_is_refused_and_not_our_fault(perch: Perch) -> None:
    assert codes(await send(perch, document("{ viewer { ...Nope } }"))) == ["GRAPHQL_VALIDATION_FAILED"]


async def test_a_bomb_of_fragments_is_refused_at_once(perch: Perch) -> None:
    # 16 of them take 0.3 s here, each one more doubles it, and 1,000 tokens have room for 90.
    fragments = [f"fragment F{n} on User {{ ...F{n + 1} ...F{n + 1} }}" for n in range(16)]
    query = " ".join(["{ viewer { user { ...F0 } } }", *fragments, "fragment F16 on User { id }"])
    await send(perch, document("{ __typename }"))
    start = time.process_time()
    await send(perch, document(query))
    assert time.process_time() - start < 0.1


async def test_of_two_operations_one_has_to_be_named(perch: Perch) -> None:
    query = "query A { __typename } query B { __typename }"
    assert (await send(perch, document(query, operationName="B"))).json() == {"data": {"__typename": "Query"}}
    assert codes(await send(perch, document(query)))[0] in ("BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED")


async def test_an_unused_variable_is_an_error_of_the_document(perch: Perch) -> None:
    query = "query ($a: Int) { __typename }"
    assert codes(await send(perch, document(query))) == ["GRAPHQL_VALIDATION_FAILED"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_subscription_over_http_is_refused_and_not_our_fault(perch: Perch, method: str) -> None:
    query = "subscription { homeTimelineEvents { __typename } }"
    if method == "GET":
        response = await perch.http.get("/graphql", params={"query": query}, headers={"accept": "application/json"})
    else:
        response = await send(perch, document(query))
    assert codes(response) == ["BAD_USER_INPUT"]


# ---------------------------------------------------------------- size and type


async def test_a_body_of_64_kib_is_read_and_a_larger_one_refused_with_413(perch: Perch) -> None:
    frame = len(document("{__typename}"))
    assert (await send(perch, document("{__typename}" + " " * (64 * 1024 - frame)))).status_code == 200
    for body in (document("{__typename}" + " " * (64 * 1024 - frame + 1)), "[" * 100_000, "x" * 1_000_000):
        assert (await send(perch, body)).status_code == 413


async def test_a_body_that_does_not_tell_its_length_is_bounded_all_the_same(perch: Perch) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 10_000

    response = await perch.http.post("/graphql", content=endless(), headers=JSON)
    assert response.status_code == 413


async def test_a_body_that_is_too_large_gets_an_error_in_json(perch: Perch) -> None:
    assert codes(await send(perch, "x" * 100_000)) == ["BAD_USER_INPUT"]


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/plain; charset=utf-8",
        "text/plain; application/json",
        "text/html",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/graphql",
        ";",
    ],
)
async def test_only_json_is_read(perch: Perch, content_type: str) -> None:
    """The others are what a foreign page may send without asking first."""
    response = await perch.http.post("/graphql", content=OK, headers={"content-type": content_type})
    assert response.status_code in (400, 415)
    assert codes(response) == ["BAD_USER_INPUT"]


async def test_forms_and_uploads_are_refused(perch: Perch) -> None:
    operations = {"operations": OK, "map": '{"0": ["variables.file"]}'}
    sendings: list[dict[str, Any]] = [{"data": {"query": "{__typename}"}}, {"data": operations, "files": {"0": b"x"}}]
    for sent in sendings:
        response = await perch.http.post("/graphql", **sent)
        assert response.status_code in (400, 415)
        assert codes(response) == ["BAD_USER_INPUT"]


async def test_json_is_read_in_utf_8_whatever_the_header_says(perch: Perch) -> None:
    for content_type in ("application/json; charset=utf-8", "application/json; charset=utf-16"):
        response = await perch.http.post("/graphql", content=OK, headers={"content-type": content_type})
        assert response.json() == {"data": {"__typename": "Query"}}, content_type


async def test_a_media_type_is_read_in_any_case(perch: Perch) -> None:
    response = await perch.http.post("/graphql", content=OK, headers={"content-type": "Application/JSON"})
    assert response.json() == {"data": {"__typename": "Query"}}


# ---------------------------------------------------------------- methods


async def get(perch: Perch, **params: str) -> httpx.Response:
    return await perch.http.get("/graphql", params=params, headers={"accept": "application/json"})


async def test_a_query_may_come_by_get_and_a_mutation_may_not(perch: Perch) -> None:
    ann = await perch.person()
    query = "query ($n: String!) { user(username: $n) { username } }"
    response = await get(perch, query=query, variables=json.dumps({"n": ann.username}))
    assert response.json()["data"] == {"user": {"username": ann.username}}
    mutation = 'mutation M { postTweet(input: {text: "by GET"}) { errors { code } } }'
    headers = {"authorization": f"Bearer {ann.token}", "accept": "application/json"}
    for params in (
        {"query": mutation},
        {"query": f"query Q {{ __typename }} {mutation}", "operationName": "M"},
        {"query": f"{mutation} query Q {{ __typename }}", "operationName": "M"},
        {"query": f"{mutation} query Q {{ __typename }}"},
    ):
        response = await perch.http.get("/graphql", params=params, headers=headers)
        assert (response.status_code, codes(response)) == (400, ["BAD_USER_INPUT"]), params
    seen = await ann.do("query ($n: String!) { user(username: $n) { tweetCount } }", n=ann.username)
    assert seen == {"user": {"tweetCount": 0}}


@pytest.mark.parametrize(
    "params",
    [
        {"query": ""},
        {"query": "{__typename}", "variables": "["},
        {"query": "{__typename}", "variables": "5"},
        {"query": "{__typename}", "variables": "[]"},
        {"query": "{__typename}", "extensions": "x"},
        {"query": "{__typename}", "operationName": "x"},
    ],
)
async def test_bad_parameters_are_refused_with_400(perch: Perch, params: dict[str, str]) -> None:
    response = await get(perch, **params)
    assert (response.status_code, codes(response)) == (400, ["BAD_USER_INPUT"])


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"])
async def test_other_methods_are_refused_with_405(perch: Perch, method: str) -> None:
    response = await perch.http.request(method, "/graphql", content=OK, headers=JSON)
    assert response.status_code == 405


async def test_nobody_is_invited_to_read_answers_from_another_origin(perch: Perch) -> None:
    response = await send(perch, OK, origin="https://evil.example")
    assert not [name for name in response.headers if name.startswith("access-control")]

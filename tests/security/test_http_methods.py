"""Methods: which operations may come by which, and who may read the answer."""

import json

import httpx
import pytest

from tests.perch import Perch
from tests.security.bodies import JSON, OK, codes, document, send


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
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    if method != "HEAD":
        assert codes(response) == ["BAD_USER_INPUT"]


async def test_nobody_is_invited_to_read_answers_from_another_origin(perch: Perch) -> None:
    response = await send(perch, OK, origin="https://evil.example")
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_subscription_over_http_is_refused_and_not_our_fault(perch: Perch, method: str) -> None:
    query = "subscription { homeTimelineEvents { __typename } }"
    if method == "GET":
        response = await perch.http.get("/graphql", params={"query": query}, headers={"accept": "application/json"})
    else:
        response = await send(perch, document(query))
    assert codes(response) == ["BAD_USER_INPUT"]

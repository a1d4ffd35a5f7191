"""What was asked lately is answered on a shorter road, and nobody can tell."""

import secrets
from typing import Any

import pytest

from schema.transport import Endpoint
from tests.perch import Perch, Person

PAGE = (
    "query Page($first: Int) { homeTimeline(first: $first) { edges { node { text } } } viewer { user { username } } }"
)
NAMED = "query One { __typename } query Two { viewer { email } }"
POST = "mutation ($text: String!) { postTweet(input: {text: $text}) { tweet { text } errors { code message path } } }"
JSON, GRAPHQL = "application/json", "application/graphql-response+json"
# (the body, is it answered by the short road once it has been asked)
ASKED: dict[str, tuple[Any, bool]] = {
    "a page": ({"query": PAGE, "variables": {"first": 3}}, True),
    "a page without its variables": ({"query": PAGE}, True),
    "junk in an argument": ({"query": PAGE, "variables": {"first": 0}}, True),
    "junk in a variable": ({"query": PAGE, "variables": {"first": "x"}}, True),
    "a variable that is none": ({"query": PAGE, "variables": {"other": 1}}, True),
    "the second operation": ({"query": NAMED, "operationName": "Two"}, True),
    "no operation of two": ({"query": NAMED}, False),
    "an operation that is not there": ({"query": NAMED, "operationName": "Three"}, False),
    "a refusal as data": ({"query": POST, "variables": {"text": ""}}, True),
    "too costly": (
        {"query": "{ a: homeTimeline(first: 100) { nodes { replies(first: 100) { nodes { id } } } } }"},
        True,
    ),
    "junk": ({"query": "{ nothing }"}, False),
    "no text": ({"query": None}, False),
    "variables that are none": ({"query": PAGE, "variables": []}, False),
    "a list": ([{"query": PAGE}], False),
    "a subscription": ({"query": "subscription { homeTimelineEvents { __typename } }"}, False),
}


@pytest.fixture(scope="module")
async def asker(perch: Perch) -> Person:
    (asker,) = await perch.persons(1)
    return asker


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each request, whether the short road answered it."""
    found: list[bool] = []
    directly = Endpoint._directly

    async def noted(self: Endpoint, *args: Any) -> Any:
        response = await directly(self, *args)
        found.append(response is not None)
        return response

    monkeypatch.setattr(Endpoint, "_directly", noted)
    return found


def never_asked(body: Any) -> Any:
    """The same in another text."""
    text = body.get("query") if isinstance(body, dict) else None
    return body | {"query": f"{text} # {secrets.token_hex(8)}"} if text else body


@pytest.mark.parametrize("accept", [JSON, GRAPHQL])
@pytest.mark.parametrize("token", ["the asker's", None, "junk"])
@pytest.mark.parametrize("what", ASKED)
async def test_the_second_answer_is_that_of_the_first(
    perch: Perch, asker: Person, answered: list[bool], what: str, token: str | None, accept: str
) -> None:
    body = never_asked(ASKED[what][0])
    headers = {"accept": accept} | (
        {"authorization": f"Bearer {asker.token if token != 'junk' else token}"} if token else {}
    )
    answers = [await perch.http.post("/graphql", json=body, headers=headers) for _ in range(2)]
    for one in answers:
        one.headers.pop("date", None)
    first, second = ((one.status_code, one.headers.multi_items(), one.content) for one in answers)
    assert first == second
    assert answered[0] is False


@pytest.mark.parametrize("what", ASKED)
async def test_the_short_road_is_for_what_was_asked_and_allowed(
    perch: Perch, asker: Person, answered: list[bool], what: str
) -> None:
    body, short = ASKED[what]
    for _ in range(2):
        await perch.http.post("/graphql", json=body, headers={"authorization": f"Bearer {asker.token}"})
    assert answered[1] is short


async def test_it_is_not_for_other_methods_nor_other_bodies(perch: Perch, answered: list[bool]) -> None:
    asked = {"query": "{ __typename }"}
    for _ in range(2):
        assert (await perch.http.post("/graphql", json=asked)).json() == {"data": {"__typename": "Query"}}
        assert (await perch.http.get("/graphql", params=asked)).json() == {"data": {"__typename": "Query"}}
        assert (await perch.http.post("/graphql", data=asked)).status_code == 400
    assert answered[3:] == [True, False, False]

"""What the documents show is what the server says: each page is run from its first operation to its last."""

import re
from pathlib import Path

import pytest

from tests.docs.story import FENCE, Names, answers, difference, steps
from tests.docs.teller import DemoWorld, requests, tell
from tests.processes import ROOT

# Those with tests of their own.
APART = {"trusted-documents.md", "codegen.md"}
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if "```graphql" in page.read_text() and page.name not in APART
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_a_page_says_what_the_server_says(demo_world: DemoWorld, page: Path) -> None:
    assert await tell(demo_world, page.read_text()) > 0


async def test_another_answer_than_the_servers_is_found(demo_world: DemoWorld) -> None:
    shown = '```graphql\n{ user(username: "marlow") { username } }\n```\n```json answer\n%s\n```\n'
    assert await tell(demo_world, shown % '{"data": {"user": {"username": "marlow"}}}') == 1
    for wrong in ('{"data": {"user": {"username": "barlow"}}}', '{"data": {"user": {}}}', '{"data": null}'):
        with pytest.raises(AssertionError, match="data"):
            await tell(demo_world, shown % wrong)


async def test_a_refusal_that_a_page_does_not_show_is_found(demo_world: DemoWorld) -> None:
    empty = '```graphql as demo\nmutation { postTweet(input: {text: ""}) { errors { code } } }\n```\n'
    with pytest.raises(AssertionError, match="TEXT_EMPTY"):
        await tell(demo_world, empty)


@pytest.mark.parametrize(
    "script",
    [
        body
        for language, _, body in FENCE.findall((ROOT / "README.md").read_text())
        if "curl" in body and language == "sh"
    ],
)
async def test_each_request_of_the_readme_is_answered(demo_world: DemoWorld, script: str) -> None:
    for headers, body in requests(script):
        filled = {key: value.replace("$TOKEN", await demo_world.token("demo")) for key, value in headers.items()}
        answer = (await demo_world.perch.http.post("/graphql", json=body, headers=filled)).json()
        assert "errors" not in answer, answer
        assert all(value for value in answer["data"].values()), answer


# ---------------------------------------------------------------- the harness itself


def test_dots_stand_for_anything_but_null_and_for_the_rest_of_a_list() -> None:
    assert difference({"a": "...", "b": [1, "..."]}, {"a": 7, "b": [1, 2, 3]}, {}) == ""
    assert difference({"a": "..."}, {"a": None}, {}) == "answer.a: null"
    assert difference([1, 2, "..."], [1], {}) == "answer: 1 and not 3"
    assert difference([1], [1, 2], {}) == "answer: 2 and not 1"


def test_a_name_stands_for_one_thing() -> None:
    named: Names = {}
    assert difference(["<id>", "<id>"], ["x", "x"], named) == ""
    assert named == {"id": "x"}
    assert difference(["<id>"], ["y"], named) == "answer[0]: 'y' and not 'x'"


def test_an_error_that_is_not_expected_is_a_difference() -> None:
    assert answers({"data": {"a": 1}}, {"data": {"a": 1}, "errors": [{}]}, {}).startswith("errors")
    assert (
        answers(
            {"data": None, "errors": [{"message": "no"}]}, {"data": None, "errors": [{"message": "no", "path": []}]}, {}
        )
        == ""
    )


def test_no_block_of_a_page_is_passed_over() -> None:
    for page in PAGES:
        text = page.read_text()
        kinds = re.findall(r"^```(?:json )?(graphql|request|event|variables|answer)", text, re.MULTILINE)
        assert len(list(steps(text))) == sum(kinds.count(kind) for kind in ("graphql", "request", "event")), page.name
        assert len(kinds) == len(re.findall(r"^```(?:graphql|json .)", text, re.MULTILINE)), page.name

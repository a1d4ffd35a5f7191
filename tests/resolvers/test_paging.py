"""Paging: `first` has the same bounds in every list, and a cursor belongs to one list."""

from typing import Any

import pytest

from schema import cursors
from tests.perch import Perch, Person

LISTS = {
    "tweets": "query ($name: String!, $first: Int, $after: String) { user(username: $name) { list: tweets%s } }",
    "followers": "query ($name: String!, $first: Int, $after: String) { user(username: $name) { list: followers%s } }",
    "following": "query ($name: String!, $first: Int, $after: String) { user(username: $name) { list: following%s } }",
    "likers": "query ($id: ID!, $first: Int, $after: String) { user: tweet(id: $id) { list: likers%s } }",
    "homeTimeline": "query ($first: Int, $after: String) { list: homeTimeline%s }",
}
PAGE = """(first: $first, after: $after) {
  nodes { id } edges { cursor } pageInfo { hasNextPage hasPreviousPage endCursor } }"""


class Reader:
    """Somebody whose every list holds three."""

    def __init__(self, person: Person, tweet_id: str) -> None:
        self._person = person
        self._given = {"name": person.username, "id": tweet_id}

    async def ask(self, list_name: str, **more: Any) -> Any:
        query = LISTS[list_name] % PAGE
        given = {name: value for name, value in self._given.items() if f"${name}:" in query}
        return await self._person.ask(query, **given | more)

    async def page(self, list_name: str, **more: Any) -> Any:
        answer = await self.ask(list_name, **more)
        assert not answer.errors, answer.errors
        return (answer.data.get("user") or answer.data)["list"]


@pytest.fixture(scope="module")
async def reader(perch: Perch) -> Reader:
    ann, *others = await perch.persons(4)
    tweets = [await ann.post(f"number {number}") for number in range(3)]
    for other in others:
        await other.follow(ann)
        await ann.follow(other)
        await other.like(tweets[0]["id"])
    return Reader(ann, tweets[0]["id"])


async def test_every_list_gives_1_to_100_and_20_by_default(reader: Reader) -> None:
    for name in LISTS:
        for first in (0, -1, 101, 2**31 - 1, -(2**31)):
            assert (await reader.ask(name, first=first)).codes == ["BAD_USER_INPUT"], (name, first)
        sizes: list[tuple[int | None, int]] = [(1, 1), (2, 2), (3, 3), (100, 3), (None, 3)]
        for size, count in sizes:
            page = await reader.page(name, first=size)
            assert (len(page["nodes"]), page["pageInfo"]["hasNextPage"]) == (count, count < 3), (name, size)


@pytest.mark.parametrize("first", ["1", 1.5, 2**31, True, [], {"$gt": 0}])
async def test_first_is_a_32_bit_integer(reader: Reader, first: object) -> None:
    for name in LISTS:
        assert (await reader.ask(name, first=first)).codes == ["BAD_USER_INPUT"], (name, first)


async def test_a_cursor_of_one_list_is_refused_by_every_other(reader: Reader) -> None:
    ends = {name: (await reader.page(name, first=1))["pageInfo"]["endCursor"] for name in LISTS}
    ends["live"] = cursors.encode_live("feed.0/beef")
    for name in LISTS:
        for origin, cursor in ends.items():
            answer = await reader.ask(name, first=1, after=cursor)
            assert answer.codes == ([] if origin == name else ["BAD_USER_INPUT"]), (name, origin)


@pytest.mark.parametrize("junk", ["", "x", "dDox!", "dDo", "dDoxLjI", "ZjoxLjI\n", "\u00e9", "A" * 9000, '{"$gt": ""}'])
async def test_junk_is_no_cursor(reader: Reader, junk: str) -> None:
    for name in LISTS:
        assert (await reader.ask(name, after=junk)).codes == ["BAD_USER_INPUT"], name


async def test_a_cursor_of_the_last_edge_gives_an_empty_page(reader: Reader) -> None:
    for name in LISTS:
        end = (await reader.page(name, first=3))["pageInfo"]["endCursor"]
        page = await reader.page(name, after=end)
        assert (page["nodes"], page["edges"]) == ([], [])
        assert page["pageInfo"]["hasNextPage"] is False
        assert page["pageInfo"]["hasPreviousPage"] is True


async def test_walking_one_by_one_gives_each_once_in_the_same_order(reader: Reader) -> None:
    for name in LISTS:
        whole = [node["id"] for node in (await reader.page(name))["nodes"]]
        assert len(set(whole)) == 3
        walked: list[str] = []
        after = None
        for more in (True, True, False):
            page = await reader.page(name, first=1, after=after)
            assert page["pageInfo"]["hasNextPage"] is more
            after = page["pageInfo"]["endCursor"]
            walked += [node["id"] for node in page["nodes"]]
        assert walked == whole

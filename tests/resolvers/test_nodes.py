"""Nodes: any object by its global id, in the order asked, null where there is none."""

from collections.abc import Sequence

import pytest

from datastore.records import Tweet
from realtime.cache import Cache
from realtime.copies import Copies
from schema import globalid
from tests.perch import Perch, Person

NODE = """query ($id: ID!) { node(id: $id) { __typename id ... on User { username } ... on Tweet { text } } }"""
NODES = """query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on User { username } ... on Tweet { text } } }"""
JUNK = [
    "",
    "x",
    "1",
    "VXNlcg",
    "VXNlcjo",
    "VXNlcjox=",
    "VXNlcjox==",
    "VXNlcjox\n",
    "VXNlcjowMQ",
    "VXNlcjotMQ",
    "VXNlcjo5MDA3MTk5MjU0NzQwOTky",
    "U2Vzc2lvbjox",
    "dXNlcjox",
    "VXNlcjrZow",
    "\u00e9",
    '{"$gt": ""}',
    "A" * 10_000,
]


@pytest.fixture
async def ann(perch: Perch) -> Person:
    return await perch.person()


async def test_a_node_is_found_by_its_global_id(perch: Perch, ann: Person) -> None:
    tweet = await ann.post("hello")
    found = (await perch.ask(NODE, id=ann.id)).data["node"]
    assert found == {"__typename": "User", "id": ann.id, "username": ann.username}
    found = (await perch.ask(NODE, id=tweet["id"])).data["node"]
    assert found == {"__typename": "Tweet", "id": tweet["id"], "text": "hello"}


async def test_what_is_not_there_is_null(perch: Perch, ann: Person) -> None:
    gone = await ann.post("gone")
    await ann.delete(gone["id"])
    for nothing in (gone["id"], globalid.encode("Tweet", 0), globalid.encode("User", 2**53 - 1)):
        answer = await perch.ask(NODE, id=nothing)
        assert (answer.data, answer.errors) == ({"node": None}, [])
    assert (await perch.ask('{ user(username: "nobody_at_all") { id } }')).data == {"user": None}
    assert (await perch.ask("query ($id: ID!) { tweet(id: $id) { id } }", id=gone["id"])).data == {"tweet": None}


@pytest.mark.parametrize("junk", JUNK)
async def test_junk_is_no_id(perch: Perch, ann: Person, junk: str) -> None:
    assert (await perch.ask(NODE, id=junk)).codes == ["BAD_USER_INPUT"]
    assert (await perch.ask(NODES, ids=[ann.id, junk])).codes == ["BAD_USER_INPUT"]
    assert (await perch.ask("query ($id: ID!) { tweet(id: $id) { id } }", id=junk)).codes == ["BAD_USER_INPUT"]


async def test_the_id_of_a_user_is_no_id_of_a_tweet(perch: Perch, ann: Person) -> None:
    answer = await perch.ask("query ($id: ID!) { tweet(id: $id) { id } }", id=ann.id)
    assert (answer.data, answer.codes) == ({"tweet": None}, ["BAD_USER_INPUT"])


async def test_nodes_come_in_the_order_asked_each_as_often_as_asked(perch: Perch, ann: Person) -> None:
    one, two = await ann.post("one"), await ann.post("two")
    nothing = globalid.encode("Tweet", 1)
    asked = [two["id"], ann.id, nothing, one["id"], two["id"], globalid.encode("User", 1)]
    found = (await perch.ask(NODES, ids=asked)).data["nodes"]
    assert [node and node["id"] for node in found] == [two["id"], ann.id, None, one["id"], two["id"], None]
    assert [node.get("text") for node in found if node] == ["two", None, "one", "two"]
    assert (await perch.ask(NODES, ids=[])).data == {"nodes": []}


async def test_nodes_are_at_most_100(perch: Perch, ann: Person) -> None:
    assert len((await perch.ask(NODES, ids=[ann.id] * 100)).data["nodes"]) == 100
    answer = await perch.ask(NODES, ids=[ann.id] * 101)
    assert (answer.data, answer.codes) == (None, ["BAD_USER_INPUT"])


async def test_nodes_of_one_kind_are_one_read_however_many(
    perch: Perch, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    tweets = [(await ann.post(f"number {number}"))["id"] for number in range(20)]
    # The worker in this process reads tweets too.
    await perch.settle()
    reads: list[int] = []
    look_up = Cache.tweets

    async def counted(self: Cache, tweet_ids: Sequence[int], use: Copies) -> list[Tweet | None]:
        reads.append(len(tweet_ids))
        return await look_up(self, tweet_ids, use)

    monkeypatch.setattr(Cache, "tweets", counted)
    assert len((await perch.ask(NODES, ids=[*tweets, *tweets])).data["nodes"]) == 40
    assert reads == [20]


async def test_a_profile_is_found_whatever_the_case_of_its_name(perch: Perch, ann: Person) -> None:
    query = "query ($name: String!) { user(username: $name) { username } }"
    for name in (ann.username, ann.username.upper()):
        assert (await perch.ask(query, name=name)).data == {"user": {"username": ann.username}}
    for name in (
        "",
        f" {ann.username}",
        f"@{ann.username}",
        f"{ann.username}\u0000",
        ".*",
        '{"$gt": ""}',
        "x" * 10_000,
    ):
        answer = await perch.ask(query, name=name)
        assert (answer.data, answer.errors) == ({"user": None}, []), name[:30]


@pytest.mark.parametrize("value", [{"$gt": ""}, {"$where": "1"}, ["x"], 5, True, None])
async def test_an_operator_is_no_string(perch: Perch, value: object) -> None:
    for query in (
        "query ($v: String!) { user(username: $v) { id } }",
        "query ($v: ID!) { node(id: $v) { id } }",
        "mutation ($v: String!) { refreshSession(input: {refreshToken: $v}) { errors { code } } }",
        'mutation ($v: String!) { logIn(input: {usernameOrEmail: $v, password: "x"}) { errors { code } } }',
        'mutation ($v: String!) { logIn(input: {usernameOrEmail: "x", password: $v}) { errors { code } } }',
    ):
        assert (await perch.ask(query, v=value)).codes == ["BAD_USER_INPUT"], query

"""Cost: known before anything runs, never below what the answer has, charged and given back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from graphql import GraphQLSchema, get_operation_ast, parse

from realtime import keys
from realtime.limits import Action
from resolvers import guards
from schema import globalid
from schema.build import build
from schema.cost import objects, plan
from schema.limits import COST
from tests.flows.test_topics import following
from tests.perch import PATIENCE_SECONDS, Perch, Person, serving
from tests.security.talk import ask

HOME = "{ homeTimeline(first: 20) { edges { node { text author { username } } } pageInfo { endCursor } } }"


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build()._schema


@pytest.fixture(scope="module")
async def counting(perch: Perch) -> AsyncIterator[Perch]:
    """A server that keeps budgets, which fill slowly, over the same stores."""
    few = {"rate_limits": True, "cost_an_hour": 1000, "cost_limit": 1000, "sign_ups_in_30_minutes": 100_000}
    async with serving(perch.settings.model_copy(update=few)) as counting:
        yield counting


def cost(schema: GraphQLSchema, query: str, **variables: Any) -> int:
    document = parse(query)
    operation = get_operation_ast(document)
    assert operation
    return plan(schema, document, operation).cost(variables)


@pytest.mark.parametrize(
    ("query", "variables", "expected"),
    [
        ("{ viewer { user { username } } }", {}, 2),
        (HOME, {}, 1 + 20 * 3),
        ("query ($n: Int) { topTweets(first: $n) { nodes { score } } }", {"n": 7}, 1 + 7),
        ("query ($n: Int) { topTweets(first: $n) { nodes { score } } }", {}, 1 + 10),
        ("query ($n: Int) { topTweets(first: $n) { nodes { score } } }", {"n": None}, 1 + 10),
        ("query ($n: Int = 3) { topTweets(first: $n) { nodes { score } } }", {}, 1 + 3),
        ("query ($n: Int = 3) { topTweets(first: $n) { nodes { score } } }", {"n": "junk"}, 1 + 10),
        ("{ topTweets(first: 100000000000) { nodes { score } } }", {}, 1 + 100),
        ("{ topTweets(first: -5) { nodes { score } } }", {}, 1),
        ("{ homeTimeline(first: 10) { topTweets(first: 4) { score } nodes { text } } }", {}, 1 + 4 + 10),
        ('{ nodes(ids: ["a", "b", "c"]) { id } }', {}, 3),
        ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["a"] * 9}, 9),
        ('{ searchTweets(query: "x") { nodes { text } } }', {}, 20 + 1 + 15),
        ('mutation { unlikeTweet(input: {tweetId: "x"}) { errors { code } } }', {}, 10 + 1),
        ("{ __schema { types { fields { name } } } }", {}, 0),
        ("query { ...A ...A } fragment A on Query { viewer { user { id } } }", {}, 2),
        (
            '{ node(id: "x") { ... on Tweet { author { id } } ... on User { tweets { nodes { id } } } } }',
            {},
            1 + 1 + 21,
        ),
        ("{ rateLimit { remaining } }", {}, 0),
    ],
    ids=str,
)
def test_a_cost_is_the_number_of_objects_an_answer_can_have(
    schema: GraphQLSchema, query: str, variables: dict[str, Any], expected: int
) -> None:
    assert cost(schema, query, **variables) == expected


def test_fragments_that_multiply_are_priced_at_once(schema: GraphQLSchema) -> None:
    hop = "nodes { author { ...F%d } }"
    bomb = "{ viewer { user { ...F0 } } }" + "".join(
        f"fragment F{n} on User {{ tweets {{ {hop % (n + 1)} }} likes {{ {hop % (n + 1)} }} }} " for n in range(60)
    )
    # Unshared, there are 2^60 fields: this would never end.
    assert cost(schema, bomb + "fragment F60 on User { id }") > 40**60


async def test_what_costs_too_much_is_refused_before_it_runs_and_the_field_is_named(perch: Perch) -> None:
    ann = await perch.person()
    query = """query ($n: Int) { user(username: "%s") { tweets(first: $n) { nodes {
      replies(first: $n) { nodes { text } } likers(first: 1) { nodes { username } } } } } }"""
    answer = await ann.ask(query % ann.username, n=100)
    assert (answer.data, answer.codes) == (None, ["QUERY_TOO_COSTLY"])
    told = answer.errors[0]["extensions"]
    assert (told["limit"], told["field"]) == (COST, "user.tweets.nodes.replies.nodes")
    assert told["cost"] == 1 + 1 + 100 * (1 + 1 + 100 + 1 + 1)
    assert (await ann.ask(query % ann.username, n=20)).errors == []


async def test_over_a_socket_it_costs_the_same(perch: Perch) -> None:
    async with perch.socket() as socket:
        await socket.init()
        query = "{ topTweets(first: 100) { nodes { tweet { replies(first: 100) { nodes { id } } } } } }"
        await socket.send({"type": "subscribe", "id": "1", "payload": {"query": query}})
        refused = await socket.receive()
        errors = refused["payload"] if refused["type"] == "error" else refused["payload"]["errors"]
        assert [error["extensions"]["code"] for error in errors] == ["QUERY_TOO_COSTLY"]


async def answer_of(perch: Perch, token: str | None, query: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body: dict[str, Any] = (await perch.http.post("/graphql", json={"query": query}, headers=headers)).json()
    return body


async def test_an_answer_tells_its_cost_and_what_it_did_not_need_is_given_back(counting: Perch) -> None:
    ann = await counting.person()
    await ann.post("one")
    left = (await ann.do("{ rateLimit { limit cost remaining } }"))["rateLimit"]["remaining"]
    body = await answer_of(counting, ann.token, HOME)
    # The connection, an edge, a tweet, its author, and the page's place.
    told = body["extensions"]["cost"]
    assert (told["requested"], told["actual"]) == (61, 5)
    assert objects(body["data"]) == 5
    # Within 3.6 s a unit comes back.
    assert left - 5 <= told["remaining"] <= left - 5 + 3
    again = (await ann.do("{ rateLimit { limit cost remaining resetAt } }"))["rateLimit"]
    assert (again["limit"], again["cost"]) == (1000, 0)
    assert left - 5 <= again["remaining"] <= left - 5 + 3
    assert again["resetAt"] > datetime.now(UTC).isoformat()


def budget_of(person: Person) -> str:
    return keys.budget(Action.QUERY, str(globalid.of_type(person.id, "User")))


async def spend_all(counting: Perch, person: Person) -> None:
    """As if the whole budget had been spent just now."""
    seconds, micros = await counting.redis.time()
    await counting.redis.set(budget_of(person), seconds * 10**6 + micros + 3600 * 10**6)


async def test_a_budget_that_is_spent_refuses_all_but_only_its_owner(counting: Perch) -> None:
    ann, bob = await counting.persons(2)
    await spend_all(counting, ann)
    refused = await ann.ask("{ viewer { user { id } } }")
    assert (refused.data, refused.codes) == (None, ["RATE_LIMITED"])
    assert refused.errors[0]["extensions"]["retryAfter"] >= 1
    assert (await bob.ask("{ viewer { user { id } } }")).errors == []
    assert (await counting.ask("{ viewer { user { id } } }")).errors == []


async def test_without_an_account_the_address_pays(counting: Perch) -> None:
    name = keys.budget(Action.QUERY, "ip:127.0.0.1")
    await counting.redis.delete(name)
    await counting.ask("{ topTweets(first: 5) { nodes { score } } }")
    assert await counting.redis.exists(name)


async def test_where_limits_are_off_nothing_is_counted(perch: Perch) -> None:
    ann = await perch.person()
    for _ in range(2):
        found = (await ann.do("{ rateLimit { limit cost remaining } }"))["rateLimit"]
        assert found["remaining"] == found["limit"] == perch.settings.cost_an_hour
    assert not await perch.redis.exists(budget_of(ann))


async def left_of(person: Person) -> int:
    left: int = (await person.do("{ rateLimit { remaining } }"))["rateLimit"]["remaining"]
    return left


@pytest.fixture
async def ann(counting: Perch) -> Person:
    return await counting.person()


HOME_EVENTS = """subscription ($after: String) { homeTimelineEvents(after: $after) { __typename
  ... on TimelineTweetAdded { cursor edge { node { text } } } } }"""


@pytest.mark.parametrize("taken_at", [1, 10_000], ids=["taken one by one", "taken at the end"])
async def test_an_event_costs_its_reader_what_it_shows(
    counting: Perch, ann: Person, taken_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "TAKEN_AT", taken_at)
    after = (await ann.home())["liveCursor"]
    async with ann.live(after, HOME_EVENTS) as live:
        await ann.post("first")
        await live.event()
        before = await left_of(ann)
        for number in range(10):
            await ann.post(f"number {number}")
            await live.event()
        # 10 mutations, each with its payload and the tweet; 10 events, each with its edge and the tweet.
        spent = 10 * 12 + (10 * 3 if taken_at == 1 else 0)
        assert before - spent <= await left_of(ann) <= before - spent + 5
    if taken_at > 1:
        async with asyncio.timeout(PATIENCE_SECONDS):
            # It is settled when the server has seen the socket go.
            while await left_of(ann) > before - 10 * 12 - 11 * 3 + 4 + 5:
                await asyncio.sleep(0.01)


async def test_events_end_where_the_budget_does_and_go_on_behind_the_last_one_once_there_is_room(
    counting: Perch, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "TAKEN_AT", 1)
    cursor = (await ann.home())["liveCursor"]
    author = await counting.person()
    await ann.follow(author)
    await counting.settle()
    async with ann.live(cursor, HOME_EVENTS) as live:
        assert (await live.event())["__typename"] == "TimelineResync"
        await author.post("one")
        cursor = (await live.event())["cursor"]
        await spend_all(counting, ann)
        await author.post("two")
        message = await live.socket.receive()
        (error,) = message["payload"]["errors"]
        assert (message["payload"]["data"], error["extensions"]["code"]) == (None, "RATE_LIMITED")
        assert error["extensions"]["retryAfter"] >= 1
        assert (await live.socket.receive())["type"] == "complete"
    await counting.redis.delete(budget_of(ann))
    async with ann.live(cursor, HOME_EVENTS) as live:
        assert await live.added() == "two"


async def test_events_of_a_topic_end_likewise(counting: Perch, ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "TAKEN_AT", 1)
    author = await counting.person()
    async with await following(counting, author, ann) as socket:
        # It was charged what the costliest event can show, and the first ones show less.
        for number in range(3):
            await author.post(f"number {number}")
            assert (await socket.receive())["type"] == "next"
        await spend_all(counting, ann)
        await author.post("one more")
        message = await socket.receive()
        assert [error["extensions"]["code"] for error in message["payload"]["errors"]] == ["RATE_LIMITED"]
        assert (await socket.receive())["type"] == "complete"


async def test_over_a_socket_an_answer_tells_its_cost_too(counting: Perch) -> None:
    async with counting.socket() as socket:
        await socket.init()
        payload = await ask(socket, "1", "{ topTweets { nodes { score } } }")
        assert payload["extensions"]["cost"]["requested"] == 11

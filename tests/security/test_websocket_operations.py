"""Operations over a socket: each ends by itself, sees the world as it is now, and there are at most ten at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from realtime import keys
from schema import globalid
from schema.limits import SUBSCRIPTIONS_PER_SOCKET
from tests.perch import PATIENCE_SECONDS, Perch, Person, Socket
from tests.security.talk import ask, refused, subscribe

COUNT = "query ($id: ID!) { tweet(id: $id) { likeCount viewerHasLiked author { followerCount viewerIsFollowing } } }"
LIVE = """subscription ($after: String) { homeTimelineEvents(after: $after) { __typename
  ... on TimelineTweetAdded { edge { node { text } } } } }"""


@pytest.fixture
async def ann(perch: Perch) -> Person:
    return await perch.person()


@pytest.fixture
async def socket(perch: Perch, ann: Person) -> AsyncIterator[Socket]:
    """A socket of Ann's."""
    async with perch.socket() as socket:
        await socket.init({"authorization": f"Bearer {ann.token}"})
        yield socket


async def start(socket: Socket, id_: str, query: str, **variables: Any) -> None:
    await socket.send(subscribe(id_, query=query, variables=variables))


async def test_queries_and_mutations_work_over_a_socket(ann: Person, socket: Socket) -> None:
    query = 'mutation { postTweet(input: {text: "by socket"}) { tweet { id text } errors { code } } }'
    payload = await ask(socket, "1", query)
    tweet = payload["data"]["postTweet"]["tweet"]
    assert tweet["text"] == "by socket"
    found = await ask(socket, "2", "query ($id: ID!) { tweet(id: $id) { text author { id } } }", id=tweet["id"])
    assert found["data"] == {"tweet": {"text": "by socket", "author": {"id": ann.id}}}
    failed = await ask(socket, "3", "query ($id: ID!) { __typename tweet(id: $id) { text } }", id=ann.id)
    assert failed["data"] == {"__typename": "Query", "tweet": None}
    assert failed["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}


async def test_a_query_sees_what_has_changed_since_the_last_one_on_its_socket(
    perch: Perch, ann: Person, socket: Socket
) -> None:
    bob = await perch.person()
    tweet = await bob.post("like me")
    expected = {"likeCount": 0, "viewerHasLiked": False, "author": {"followerCount": 0, "viewerIsFollowing": False}}
    assert (await ask(socket, "1", COUNT, id=tweet["id"]))["data"] == {"tweet": expected}
    await ann.like(tweet["id"])
    await ann.follow(bob)
    expected = {"likeCount": 1, "viewerHasLiked": True, "author": {"followerCount": 1, "viewerIsFollowing": True}}
    assert (await ask(socket, "1", COUNT, id=tweet["id"]))["data"] == {"tweet": expected}
    await bob.delete(tweet["id"])
    assert (await ask(socket, "1", COUNT, id=tweet["id"]))["data"] == {"tweet": None}


async def test_two_sockets_are_two_callers(perch: Perch, ann: Person, socket: Socket) -> None:
    bob = await perch.person()
    query = "{ viewer { user { username } } }"
    async with perch.socket() as bobs, perch.socket() as nobodys:
        await bobs.init({"authorization": f"Bearer {bob.token}"})
        await nobodys.init()
        for person, theirs in ((ann, socket), (bob, bobs), (ann, socket)):
            payload = await ask(theirs, "1", query)
            assert payload["data"] == {"viewer": {"user": {"username": person.username}}}
        assert (await ask(nobodys, "1", query))["data"] == {"viewer": None}


@pytest.mark.parametrize("query", ["{", "{" + "__typename " * 1000 + "}"], ids=lambda value: value[:20])
async def test_a_syntax_error_ends_its_operation_and_not_the_socket(socket: Socket, query: str) -> None:
    assert await refused(socket, "1", query) == ["GRAPHQL_PARSE_FAILED"]
    assert await ask(socket, "1", "{ __typename }") == {"data": {"__typename": "Query"}}


async def test_an_empty_query_is_not_our_fault(socket: Socket) -> None:
    assert (await refused(socket, "1", ""))[0] in ("GRAPHQL_PARSE_FAILED", "BAD_USER_INPUT")


async def test_the_socket_lives_on_behind_a_syntax_error(socket: Socket) -> None:
    await start(socket, "1", "{")
    assert (await socket.receive())["id"] == "1"
    assert await ask(socket, "1", "{ __typename }") == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { nope }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "subscription { homeTimelineEvents { __typename } a: homeTimelineEvents { __typename } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("{" + " ".join(f"a{n}: __typename" for n in range(16)) + "}", "GRAPHQL_VALIDATION_FAILED"),
        ("{ viewer { user { ...A } } } fragment A on User { ...A }", "GRAPHQL_VALIDATION_FAILED"),
    ],
    ids=lambda value: value[:40],
)
async def test_a_bad_document_ends_its_operation_and_not_the_socket(socket: Socket, query: str, code: str) -> None:
    assert (await refused(socket, "1", query))[0] == code
    assert await ask(socket, "1", "{ __typename }") == {"data": {"__typename": "Query"}}


async def test_a_bad_variable_ends_its_operation_and_not_the_socket(socket: Socket) -> None:
    await start(socket, "1", COUNT, id={"$gt": ""})
    message = await socket.receive()
    errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    assert [error["extensions"]["code"] for error in errors] == ["BAD_USER_INPUT"]
    if message["type"] == "next":
        assert await socket.receive() == {"type": "complete", "id": "1"}
    assert await ask(socket, "1", "{ __typename }") == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("query", ["{ __typename }", "fragment A on User { id }"])
async def test_an_operation_that_is_not_there_ends_itself_and_not_the_socket(socket: Socket, query: str) -> None:
    assert await refused(socket, "1", query, operationName="nope") == ["BAD_USER_INPUT"]
    assert await ask(socket, "1", "{ __typename }") == {"data": {"__typename": "Query"}}


async def live(ann: Person, socket: Socket, count: int) -> None:
    """Open so many subscriptions, "live 0" and so on, and wait until each has given something."""
    after = (await ann.home())["liveCursor"]
    await ann.post("first")
    for number in range(count):
        await start(socket, f"live {number}", LIVE, after=after)
    assert await ids_of_next(socket, count) == {f"live {number}" for number in range(count)}


async def ids_of_next(socket: Socket, count: int) -> set[str]:
    """Which operations the next so many events are of."""
    messages = [await socket.receive() for _ in range(count)]
    assert {message["type"] for message in messages} == {"next"}
    return {message["id"] for message in messages}


async def test_an_id_in_use_is_closed_with_4409(ann: Person, socket: Socket) -> None:
    await live(ann, socket, 1)
    await start(socket, "live 0", "{ __typename }")
    assert await socket.closed() == 4409


async def test_an_id_is_free_again_once_its_operation_has_ended(ann: Person, socket: Socket) -> None:
    for _ in range(3):
        assert await ask(socket, "1", "{ __typename }") == {"data": {"__typename": "Query"}}
    await live(ann, socket, 1)
    await socket.send({"type": "complete", "id": "live 0"})
    assert await ask(socket, "live 0", "{ __typename }") == {"data": {"__typename": "Query"}}


async def test_an_11th_operation_is_refused_until_one_has_ended(ann: Person, socket: Socket) -> None:
    assert SUBSCRIPTIONS_PER_SOCKET == 10
    await live(ann, socket, 10)
    await refused(socket, "one more", "{ __typename }")
    await socket.send({"type": "complete", "id": "live 3"})
    assert await ask(socket, "one more", "{ __typename }") == {"data": {"__typename": "Query"}}
    await ann.post("to the nine that are left")
    assert await ids_of_next(socket, 9) == {f"live {number}" for number in range(10) if number != 3}


async def test_the_refusal_of_an_11th_operation_has_a_code(ann: Person, socket: Socket) -> None:
    await live(ann, socket, 10)
    assert await refused(socket, "one more", "{ __typename }") == ["RATE_LIMITED"]


async def test_sockets_that_close_while_their_subscriptions_begin_leave_nothing_running(
    perch: Perch, ann: Person
) -> None:
    after = (await ann.home())["liveCursor"]
    before = asyncio.all_tasks()
    for _ in range(5):
        async with perch.socket() as socket:
            await socket.init({"authorization": f"Bearer {ann.token}"})
            for number in range(SUBSCRIPTIONS_PER_SOCKET):
                await start(socket, f"live {number}", LIVE, after=after)
            await refused(socket, "one more", "{ __typename }")
    left = [task for task in asyncio.all_tasks() - before if "run_operation" in str(task.get_coro())]
    try:
        await asyncio.wait(left or [asyncio.create_task(perch.settle())], timeout=2)
        assert [task for task in left if not task.done()] == []
        redis: Any = perch.redis
        channel = keys.reader_channel(globalid.of_type(ann.id, "User"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await redis.execute_command("PUBSUB", "SHARDNUMSUB", channel))[1]:
                continue
    finally:
        for task in left:  # or the server waits for them when it stops
            task.cancel()


async def test_a_junk_cursor_ends_its_subscription_and_not_the_socket(socket: Socket) -> None:
    query = "subscription ($c: String) { homeTimelineEvents(after: $c) { __typename } }"
    await start(socket, "1", query, c="junk")
    message = await socket.receive()
    errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    assert [error["extensions"]["code"] for error in errors] == ["BAD_USER_INPUT"]
    if message["type"] == "next":
        assert await socket.receive() == {"type": "complete", "id": "1"}
    assert await ask(socket, "1", "{ __typename }") == {"data": {"__typename": "Query"}}

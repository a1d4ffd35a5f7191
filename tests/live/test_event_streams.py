"""Event streams: subscriptions over plain HTTP with the same cursors, and nothing else in that form."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.perch import LIVE, PATIENCE_SECONDS, Perch, Person, serving

# As urql sends it with every request.
ACCEPT = "application/graphql-response+json, application/graphql+json, application/json, text/event-stream"
# Some 2 KB each: more than what the server keeps for a socket, and the system with little room.
POSTS = 60
LOG_OUT = "mutation { logOut(input: {}) { errors { code } } }"


@dataclass
class Stream:
    """An open event stream; comments are passed over."""

    response: httpx.Response
    lines: AsyncIterator[str]

    async def event(self) -> dict[str, str]:
        """The fields of the next event."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for line in self.lines:
                name, _, value = line.partition(":")
                if line and name:
                    fields[name] = value.strip()
                elif not line and fields:
                    return fields
        return {"event": "end"}

    async def added(self) -> tuple[str, str]:
        """The text and the id of the next event, which must be a tweet that was added."""
        fields = await self.event()
        event = json.loads(fields["data"])["data"]["homeTimelineEvents"]
        assert fields["id"] == event["cursor"]
        return event["edge"]["node"]["text"], fields["id"]


@asynccontextmanager
async def stream(person: Person, query: str = LIVE, method: str = "POST", **more: Any) -> AsyncIterator[Stream]:
    """A subscription over HTTP; `after` is its variable, `last` its Last-Event-ID."""
    variables = {"after": more.get("after")}
    headers = {"authorization": f"Bearer {person.token}", "accept": ACCEPT}
    headers |= {"last-event-id": more["last"]} if "last" in more else {}
    asked: dict[str, Any] = {"json": {"query": query, "variables": variables}}
    if method == "GET":
        asked = {"params": {"query": query, "variables": json.dumps(variables)}}
    async with person.perch.http.stream(method, "/graphql", headers=headers, **asked) as response:
        yield Stream(response, response.aiter_lines())


@pytest.fixture
async def pair(perch: Perch) -> tuple[Person, Person]:
    reader, author = await perch.persons(2)
    await reader.follow(author)
    await perch.settle()
    return reader, author


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_stream_gives_each_event_with_its_cursor_and_last_event_id_resumes_behind_it(
    perch: Perch, pair: tuple[Person, Person], method: str
) -> None:
    reader, author = pair
    after = (await reader.home())["liveCursor"]
    await author.post("before")
    async with stream(reader, method=method, after=after) as live:
        assert live.response.headers["content-type"].startswith("text/event-stream")
        text, seen = await live.added()
        assert text == "before"
    for number in range(3):
        await author.post(f"missed {number}")
    await perch.settle()
    # What the client reconnects with is newer than its variables.
    async with stream(reader, method=method, after=after, last=seen) as live:
        for number in range(3):
            text, seen = await live.added()
            assert text == f"missed {number}"
    async with stream(reader, method=method, after=after, last=seen) as live:
        await author.post("live")
        assert (await live.added())[0] == "live"


async def test_a_query_and_a_mutation_are_json_whatever_else_is_accepted(pair: tuple[Person, Person]) -> None:
    reader, _ = pair
    for query in ("{ viewer { email } }", 'mutation { postTweet(input: {text: "json"}) { errors { code } } }', "{"):
        headers = {"authorization": f"Bearer {reader.token}", "accept": ACCEPT}
        answer = await reader.perch.http.post("/graphql", json={"query": query}, headers=headers)
        assert "json" in answer.headers["content-type"]
        assert ("errors" in answer.json()) == (query == "{")


async def test_a_subscription_without_the_media_type_is_refused_as_before(pair: tuple[Person, Person]) -> None:
    answer = await pair[0].ask(LIVE)
    assert answer.data is None
    assert answer.errors


async def test_a_refused_subscription_says_why_and_completes(pair: tuple[Person, Person]) -> None:
    reader, _ = pair
    bad: list[tuple[dict[str, Any], str]] = [
        ({"query": "subscription { nope }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"last": "junk"}, "BAD_USER_INPUT"),
        ({"after": "junk"}, "BAD_USER_INPUT"),
    ]
    for asked, code in bad:
        async with stream(reader, **asked) as live:
            fields = await live.event()
            assert "data" in fields, (asked, fields)
            assert json.loads(fields["data"])["errors"][0]["extensions"]["code"] == code
            assert (await live.event())["event"] == "complete"
            assert await live.event() == {"event": "end"}
    reader.token = "junk"
    async with stream(reader) as live:
        await live.response.aread()
        assert live.response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_other_subscriptions_stream_too_without_ids(pair: tuple[Person, Person]) -> None:
    reader, author = pair
    event = "... on UserPostedTweet { tweet { text } }"
    query = f'subscription {{ userActivity(userId: "{author.id}") {{ {event} }} }}'
    async with stream(reader, query) as live:
        posting = asyncio.create_task(post_until_cancelled(author))
        fields = await live.event()
        posting.cancel()
    assert json.loads(fields["data"])["data"]["userActivity"]["tweet"]["text"] == "again"
    assert "id" not in fields


async def post_until_cancelled(author: Person) -> None:
    while True:
        await author.post("again")


async def test_a_stream_ends_with_its_session(pair: tuple[Person, Person]) -> None:
    reader, _ = pair
    async with stream(reader) as live:
        await reader.do(LOG_OUT)
        assert await live.event() == {"event": "end"}


async def test_a_user_has_so_many_streams(perch: Perch) -> None:
    async with serving(perch.settings.model_copy(update={"sockets_per_user": 1})) as narrow:
        ann = await narrow.person()
        async with stream(ann) as first:
            assert first.response.status_code == 200
            async with stream(ann) as second:
                assert second.response.status_code == 429
        async with asyncio.timeout(PATIENCE_SECONDS):
            while narrow.app.state.sockets.session_ids():
                await asyncio.sleep(0.05)
        async with stream(ann) as again:
            assert again.response.status_code == 200


async def test_a_stream_that_nobody_reads_is_dropped_with_all_it_was_sent(perch: Perch) -> None:
    async with serving(perch.settings.model_copy(update={"stalled_seconds": 0.5})) as strict:
        reader, author = await strict.persons(2)
        await reader.follow(author)
        await strict.settle()
        async with unread(strict, reader.token) as opened:
            for number in range(0, POSTS, 20):
                await asyncio.gather(*(author.post(f"{one} {'x' * 130}") for one in range(number, number + 20)))
            async with asyncio.timeout(PATIENCE_SECONDS):
                while strict.app.state.sockets.session_ids() or opened.get_write_buffer_size():
                    await asyncio.sleep(0.05)
            assert opened.is_closing()


@asynccontextmanager
async def unread(perch: Perch, token: str) -> AsyncIterator[Any]:
    """The server's end of a stream with little room on its way, of which nobody reads more than the beginning."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", int(perch.url.rpartition(":")[2])))
        texts = " ".join(f"t{number}: text" for number in range(12))
        event = f"... on TimelineTweetAdded {{ edge {{ node {{ {texts} }} }} }}"
        body = json.dumps({"query": f"subscription {{ homeTimelineEvents {{ __typename {event} }} }}"}).encode()
        head = f"POST /graphql HTTP/1.1\r\nhost: x\r\naccept: {ACCEPT}\r\nauthorization: Bearer {token}\r\n"
        length = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        await loop.sock_sendall(sock, (head + length).encode() + body)
        assert b"200 OK" in await loop.sock_recv(sock, 1024)
        (stream,) = perch.app.state.sockets._open
        transport = stream._abort.__self__
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as server_side:
            server_side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield transport

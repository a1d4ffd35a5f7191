"""graphql-transport-ws: whatever a frame holds, the socket closes with the protocol's code, and never with 1006."""

import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from tests.perch import Perch
from tests.security.talk import QUERY, close_code, subscribe

MALFORMED: list[Any] = [
    "",
    "not JSON",
    "{",
    "null",
    "true",
    "5",
    '"ping"',
    "[]",
    '[{"type": "ping"}]',
    "{}",
    '{"type": null}',
    '{"type": 5}',
    '{"type": "nope"}',
    '{"type": "PING"}',
    '{"type": "connection_ack"}',
    '{"type": "next", "id": "1"}',
    '{"type": "ping", "payload": 5}',
    '{"type": "pong", "payload": []}',
    '{"type": "connection_init", "payload": 5}',
    '{"type": "connection_init", "payload": []}',
    '{"type": "connection_init", "payload": ""}',
    '{"type": "complete"}',
    '{"type": "complete", "id": ""}',
    '{"type": "complete", "id": 5}',
    '{"type": "subscribe"}',
    {"type": "subscribe", "id": "1"},
    {"type": "subscribe", "payload": QUERY},
    subscribe(""),
    subscribe(5),
    subscribe(None),
    subscribe(["1"]),
    subscribe({"$gt": ""}),
    {"type": "subscribe", "id": "1", "payload": None},
    {"type": "subscribe", "id": "1", "payload": []},
    {"type": "subscribe", "id": "1", "payload": "{ __typename }"},
    {"type": "subscribe", "id": "1", "payload": {}},
    subscribe(query=None),
    subscribe(query=5),
    subscribe(query=["{ __typename }"]),
    subscribe(**QUERY, variables=[]),
    subscribe(**QUERY, variables="{}"),
    subscribe(**QUERY, operationName=5),
    subscribe(**QUERY, extensions=[]),
    b'{"type": "ping"}',
    b"\xff\xfe",
    '{"type": "ping", "payload": {"n": NaN}}',
    '{"type": "ping", "payload": {"n": %s}}' % ("9" * 5000),
    '{"type": "ping", "payload": {"s": "\\ud800"}}',
    "[" * 50_000,
    '{"a":' * 10_000,
]


@pytest.mark.parametrize("frame", MALFORMED, ids=lambda frame: str(frame)[:50])
async def test_a_malformed_frame_is_closed_with_4400(perch: Perch, frame: Any) -> None:
    assert await close_code(perch, frame) == 4400


@pytest.mark.parametrize(
    "frame", ["[]", "null", '{"type": "subscribe"}', b"{}", '{"type": "connection_init", "payload": 5}']
)
async def test_a_malformed_first_frame_is_closed_with_4400(perch: Perch, frame: Any) -> None:
    assert await close_code(perch, frame, init=False) == 4400


async def test_a_frame_over_64_kib_is_closed_with_1009(perch: Perch) -> None:
    async with perch.socket() as socket:
        await socket.init()
        await socket.send(json.dumps(subscribe(query="{ __typename }" + " " * 60_000)))
        assert (await socket.receive())["type"] == "next"
        assert (await socket.receive())["type"] == "complete"
        await socket.send("x" * (64 * 1024 + 1))
        assert await socket.closed() == 1009


async def test_what_follows_a_malformed_frame_is_not_done(perch: Perch) -> None:
    ann = await perch.person()
    post = subscribe(query='mutation { postTweet(input: {text: "late"}) { errors { code } } }')
    async with perch.socket() as socket:
        await socket.init({"authorization": f"Bearer {ann.token}"})
        await socket.send("[]")
        with suppress(ConnectionClosedError):
            for _ in range(100):
                await socket.send(post)
        assert await socket.closed() == 4400
    query = "query ($n: String!) { user(username: $n) { tweetCount } }"
    assert await ann.do(query, n=ann.username) == {"user": {"tweetCount": 0}}

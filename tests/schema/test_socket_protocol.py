"""graphql-transport-ws: what closes a socket and with which code, and what does not."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from schema import limits
from tests.perch import Perch, Socket, serving

QUERY = {"query": "{ __typename }"}


async def close_code(perch: Perch, *frames: Any, init: bool = True) -> int:
    """How the server closes a socket on which this was said."""
    async with perch.socket() as socket:
        if init:
            await socket.init()
        for frame in frames:
            await socket.send(frame)
        return await socket.closed()


def subscribe(id_: Any = "1", **payload: Any) -> dict[str, Any]:
    return {"type": "subscribe", "id": id_, "payload": payload or QUERY}


async def alive(socket: Socket) -> None:
    """The socket still answers."""
    await socket.send(subscribe("alive"))
    answer = {"type": "next", "id": "alive", "payload": {"data": {"__typename": "Query"}}}
    assert await socket.receive() == answer
    assert await socket.receive() == {"type": "complete", "id": "alive"}


# ---------------------------------------------------------------- handshake


@pytest.mark.parametrize("protocols", [["graphql-ws"], ["graphql-sse"], None])
async def test_another_subprotocol_is_closed_with_4406(perch: Perch, protocols: list[str] | None) -> None:
    async with perch.socket(subprotocols=protocols) as socket:
        assert await socket.closed() == 4406


async def test_the_new_protocol_is_taken_wherever_it_stands_among_those_offered(perch: Perch) -> None:
    async with perch.socket(subprotocols=["graphql-ws", "graphql-transport-ws"]) as socket:
        assert socket.connection.subprotocol == "graphql-transport-ws"
        await socket.init()
        await alive(socket)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost", "null", "", "file://", "http://127.0.0.1:1"]
)
async def test_a_foreign_origin_is_refused_with_403_before_anything_is_said(perch: Perch, origin: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with perch.socket(additional_headers={"Origin": origin}):
            pass
    assert caught.value.response.status_code == 403


async def test_the_own_origin_and_no_origin_are_welcome(perch: Perch) -> None:
    for options in ({}, {"additional_headers": {"Origin": perch.url}}):
        async with perch.socket(**options) as socket:
            await socket.init()
            await alive(socket)


async def test_an_origin_that_the_operator_allows_is_welcome(perch: Perch) -> None:
    allowed = perch.settings.model_copy(update={"allowed_origins": ("https://app.perch.example",)})
    async with serving(allowed) as open_perch:
        async with open_perch.socket(additional_headers={"Origin": "https://app.perch.example"}) as socket:
            await socket.init()
        for origin in ("https://app.perch.example.evil.example", "http://app.perch.example", "https://perch.example"):
            with pytest.raises(InvalidStatus):
                async with open_perch.socket(additional_headers={"Origin": origin}):
                    pass


# ---------------------------------------------------------------- the first message


@pytest.mark.parametrize("message", [{}, {"payload": None}, {"payload": {}}, {"payload": {"anything": [1]}}])
async def test_a_first_message_without_a_token_is_acknowledged(perch: Perch, message: dict[str, Any]) -> None:
    async with perch.socket() as socket:
        await socket.send({"type": "connection_init"} | message)
        assert (await socket.receive())["type"] == "connection_ack"
        await alive(socket)


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
async def test_a_token_makes_a_viewer_under_a_key_of_any_case(perch: Perch, name: str) -> None:
    ann = await perch.person()
    async with perch.socket() as socket:
        await socket.init({name: f"Bearer {ann.token}"})
        await socket.send(subscribe(query="{ viewer { user { username } } }"))
        message = await socket.receive()
    assert message["payload"]["data"] == {"viewer": {"user": {"username": ann.username}}}


@pytest.mark.parametrize("nobody", [None, ""])
async def test_an_empty_token_is_nobody(perch: Perch, nobody: str | None) -> None:
    async with perch.socket() as socket:
        await socket.init({"authorization": nobody})
        await socket.send(subscribe(query="{ viewer { email } }"))
        assert (await socket.receive())["payload"]["data"] == {"viewer": None}


@pytest.mark.parametrize("token", ["x", "Bearer", "Bearer x", "Basic YTpi", 5, ["Bearer x"], {"$gt": ""}, True])
async def test_a_bad_token_is_closed_with_4403(perch: Perch, token: object) -> None:
    init = {"type": "connection_init", "payload": {"authorization": token}}
    assert await close_code(perch, init, init=False) == 4403


async def test_the_token_of_a_session_that_has_ended_is_closed_with_4403(perch: Perch) -> None:
    ann = await perch.person()
    await ann.do("mutation { logOut(input: {}) { errors { code } } }")
    init = {"type": "connection_init", "payload": {"authorization": f"Bearer {ann.token}"}}
    assert await close_code(perch, init, init=False) == 4403


async def test_an_operation_before_the_acknowledgement_is_closed_with_4401(perch: Perch) -> None:
    assert await close_code(perch, subscribe(), init=False) == 4401


async def test_a_second_first_message_is_closed_with_4429(perch: Perch) -> None:
    assert await close_code(perch, {"type": "connection_init"}) == 4429
    init = {"type": "connection_init"}
    async with perch.socket() as socket:
        await socket.send(init)
        await socket.send(init)
        assert await socket.closed() == 4429


async def test_a_socket_that_says_nothing_is_closed_with_4408(perch: Perch, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.INIT_WAIT_SECONDS <= 5
    monkeypatch.setattr(limits, "INIT_WAIT_SECONDS", 0.1)
    async with serving(perch.settings) as hasty:
        assert await close_code(hasty, init=False) == 4408
        assert await close_code(hasty, {"type": "ping"}, {"type": "pong"}, init=False) == 4408


# ---------------------------------------------------------------- malformed frames

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


async def test_frames_are_not_compressed(perch: Perch) -> None:
    async with perch.socket(compression="deflate") as socket:
        assert socket.connection.response
        assert "sec-websocket-extensions" not in socket.connection.response.headers


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


# ---------------------------------------------------------------- ping, pong, complete


async def test_a_ping_is_answered_before_and_behind_the_first_message(perch: Perch) -> None:
    async with perch.socket() as socket:
        for payload in ({}, {"payload": None}, {"payload": {"n": 1}}):
            await socket.send({"type": "ping"} | payload)
            assert (await socket.receive())["type"] == "pong"
        await socket.init()
        await socket.send({"type": "ping"})
        assert (await socket.receive())["type"] == "pong"
        for payload in ({}, {"payload": None}, {"payload": {"n": 1}}):
            await socket.send({"type": "pong"} | payload)
        await socket.send({"type": "complete", "id": "unknown"})
        await alive(socket)


# ---------------------------------------------------------------- expiry


async def test_a_socket_ends_with_its_access_token_and_no_other_does(perch: Perch) -> None:
    lasting = await perch.person()
    brief = perch.settings.model_copy(update={"access_token_seconds": 2})
    async with serving(brief) as short_lived, short_lived.socket() as nobodys, short_lived.socket() as others:
        await nobodys.init()
        await others.init({"authorization": f"Bearer {lasting.token}"})
        ann = await short_lived.person()
        async with ann.live() as live:
            start = asyncio.get_running_loop().time()
            assert await live.socket.closed() == 4403
            assert asyncio.get_running_loop().time() - start < 3
        assert (await ann.ask("{ viewer { email } }")).codes == ["UNAUTHENTICATED"]
        await alive(nobodys)
        await alive(others)

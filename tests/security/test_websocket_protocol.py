"""graphql-transport-ws, message by message: what closes a socket and with which code, and what does not."""

import asyncio
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from realtime import keys
from schema import globalid, limits
from tests.perch import PATIENCE_SECONDS, Perch, serving
from tests.security.talk import ANSWER, QUERY, alive, ask, close_code, close_frame, refused, subscribe

INIT = {"type": "connection_init"}
HOME = "subscription { homeTimelineEvents { __typename } }"
# Needs nobody, and stays.
TOP = "subscription { topTweetsChanged { __typename } }"


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


async def test_frames_are_not_compressed(perch: Perch) -> None:
    async with perch.socket(compression="deflate") as socket:
        assert socket.connection.response
        assert "sec-websocket-extensions" not in socket.connection.response.headers


# ---------------------------------------------------------------- close frames

CLOSES: dict[str, tuple[list[Any], int, str]] = {
    "a frame that is no message": (["[]"], 4400, "Malformed message"),
    "text that is no JSON": (["{"], 4400, "WebSocket message must be valid JSON"),
    "a binary frame": ([b"{}"], 4400, "WebSocket message type must be text"),
    "a type nobody knows": ([INIT, {"type": "nope"}], 4400, "Unknown message type: nope"),
    "a type of 1,000 characters": ([INIT, {"type": "x" * 1000}], 4400, "Unknown message type: " + "x" * 101),
    "a type of the server": ([INIT, {"type": "next", "id": "1"}], 4400, "Unknown message type: next"),
    "an operation before the first message": ([subscribe()], 4401, "Unauthorized"),
    "a token that is none": ([INIT | {"payload": {"authorization": "Bearer x"}}], 4403, "Forbidden"),
    "two first messages": ([INIT, INIT], 4429, "Too many initialisation requests"),
    "an id in use": ([INIT, *[subscribe("a", query=TOP)] * 2], 4409, "Subscriber for a already exists"),
    "a long id in use": ([INIT, *[subscribe("é" * 900, query=TOP)] * 2], 4409, "Subscriber for " + "é" * 54),
}


@pytest.mark.parametrize(("frames", "code", "reason"), CLOSES.values(), ids=CLOSES)
async def test_a_close_frame_has_the_code_and_the_reason_of_the_protocol(
    perch: Perch, frames: list[Any], code: int, reason: str
) -> None:
    assert await close_frame(perch, *frames, init=False) == (code, reason)


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


async def test_pings_are_answered_one_by_one_and_in_order_among_the_answers(perch: Perch) -> None:
    async with perch.socket() as socket:
        await socket.init()
        for _ in range(50):
            await socket.send({"type": "ping"})
        assert [(await socket.receive())["type"] for _ in range(50)] == ["pong"] * 50
        await alive(socket)


async def test_a_complete_for_nothing_is_passed_over_even_before_the_first_message(perch: Perch) -> None:
    async with perch.socket() as socket:
        await socket.send({"type": "complete", "id": "never"})
        await socket.init()
        await ask(socket, "1", "{ __typename }")
        for _ in range(2):
            await socket.send({"type": "complete", "id": "1"})
        await alive(socket)


async def test_a_complete_is_silent_and_nothing_of_its_operation_follows(perch: Perch) -> None:
    ann = await perch.person()
    after = (await ann.home())["liveCursor"]
    async with perch.socket() as socket, ann.live(after) as other:
        await socket.init({"authorization": f"Bearer {ann.token}"})
        await socket.send(subscribe("gone", query=HOME))
        await socket.send({"type": "complete", "id": "gone"})
        await alive(socket)
        await ann.post("nobody hears this on that socket")
        await other.added()
        await alive(socket)


async def test_an_error_ends_its_operation_without_a_complete_and_frees_its_id(perch: Perch) -> None:
    async with perch.socket() as socket:
        await socket.init()
        for query in ("{", "{ nope }", "query A { __typename } query B { __typename }"):
            await refused(socket, "1", query)
        await refused(socket, "1", "{ __typename }", operationName="nope")
        assert await ask(socket, "1", "{ __typename }") == ANSWER


async def test_what_a_payload_leaves_open_may_be_null_or_empty(perch: Perch) -> None:
    async with perch.socket() as socket:
        await socket.init()
        left_open: list[dict[str, Any]] = [{}, {"variables": None, "operationName": None, "extensions": None}]
        for more in [*left_open, {"variables": {}}]:
            await socket.send(subscribe(**QUERY, **more, extension="unknown keys are passed over"))
            assert (await socket.receive())["payload"] == ANSWER
            assert (await socket.receive())["type"] == "complete"


async def test_a_message_may_come_in_fragments(perch: Perch) -> None:
    async with perch.socket() as socket:
        await socket.connection.send(['{"type":', ' "connection', '_init"}'])
        assert await socket.receive() == {"type": "connection_ack"}
        await alive(socket)


async def test_operations_of_one_socket_do_not_wait_for_each_other(perch: Perch) -> None:
    ann = await perch.person()
    async with perch.socket() as socket:
        await socket.init({"authorization": f"Bearer {ann.token}"})
        for number in range(5):
            await socket.send(subscribe(f"live {number}", query=HOME))
        for number in range(20):
            assert await ask(socket, f"query {number}", "{ __typename }") == ANSWER


async def test_a_socket_that_is_cut_ends_its_generators(perch: Perch) -> None:
    ann = await perch.person()
    channel = keys.reader_channel(globalid.of_type(ann.id, "User"))
    redis: Any = perch.redis
    after = (await ann.home())["liveCursor"]
    await ann.post("first")

    async def listening() -> bool:
        return bool((await redis.execute_command("PUBSUB", "SHARDNUMSUB", channel))[1])

    async with ann.live(after) as live:
        await live.added()
        assert await listening()
        live.socket.connection.transport.abort()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await listening():
                await asyncio.sleep(0.01)


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

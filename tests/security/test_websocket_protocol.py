"""graphql-transport-ws, message by message: what closes a socket and with which code, and what does not."""

import asyncio
from typing import Any

import pytest

from realtime import keys
from schema import globalid
from tests.perch import PATIENCE_SECONDS, Perch, serving
from tests.security.talk import ANSWER, QUERY, alive, ask, close_frame, refused, subscribe

INIT = {"type": "connection_init"}
HOME = "subscription { homeTimelineEvents { __typename } }"
# Needs nobody, and stays.
TOP = "subscription { topTweetsChanged { __typename } }"


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

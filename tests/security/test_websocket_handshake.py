"""graphql-transport-ws: who may open a socket, and what its first message brings about."""

from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from schema import limits
from tests.perch import Perch, serving
from tests.security.talk import alive, close_code, subscribe


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

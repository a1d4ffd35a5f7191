"""What uvicorn's HTTP does as Perch needs it: an answer goes out whole, and what has no length as it comes."""

import asyncio
from typing import Any, cast

import pytest
from uvicorn.server import ServerState

from schema import bodies
from schema.server import Http, config_of

POST, HEAD = (f"{method} / HTTP/1.1\r\nHost: perch\r\nContent-Length: 0\r\n" for method in ("POST", "HEAD"))


class Written(asyncio.Transport):
    """A connection that notes each write, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def resume_reading(self) -> None: ...


async def written(
    request: str, headers: list[tuple[bytes, bytes]], parts: list[bytes], breaks: bool = False
) -> Written:
    """What a connection is given for a request that is answered so; with `breaks` nothing comes behind the head."""

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if breaks:
            raise ConnectionError("broken")
        for at, part in enumerate(parts):
            await send({"type": "http.response.body", "body": part, "more_body": at < len(parts) - 1})

    connection, state = Written(), ServerState()
    protocol = Http(config_of(cast(Any, answering), "127.0.0.1", 0, "critical"), state, {})
    protocol.connection_made(connection)
    protocol.data_received(request.encode())
    await asyncio.gather(*state.tasks)
    protocol._unset_keepalive_if_required()
    return connection


async def test_an_answer_whose_length_is_known_goes_out_in_one_write() -> None:
    answer = await written(f"{POST}\r\n", [(b"content-length", b"5")], [b"hello"])
    assert [one.endswith(b"content-length: 5\r\n\r\nhello") for one in answer.writes] == [True]
    assert not answer.closed


async def test_what_has_no_length_goes_out_as_it_comes() -> None:
    answer = await written(f"{POST}\r\n", [], [b"one", b"two"])
    head, first, second = answer.writes
    assert head.endswith(b"\r\n\r\n")
    assert (b"one" in first, b"two" in second) == (True, True)


async def test_a_continue_is_not_held_back() -> None:
    answer = await written(f"{POST}Expect: 100-continue\r\n\r\n", [(b"content-length", b"5")], [b"hello"])
    first, *rest = answer.writes
    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert b"".join(rest).endswith(b"\r\n\r\nhello")


async def test_a_head_without_a_body_is_not_waited_for() -> None:
    answer = await written(f"{HEAD}\r\n", [(b"content-length", b"5")], [b"hello"])
    assert [one.endswith(b"content-length: 5\r\n\r\n") for one in answer.writes] == [True]


@pytest.mark.parametrize("closing", [True, False])
async def test_a_connection_is_closed_behind_its_last_answer(closing: bool) -> None:
    request = f"{POST}Connection: {'close' if closing else 'keep-alive'}\r\n\r\n"
    answer = await written(request, [(b"content-length", b"5")], [b"hello"])
    assert answer.closed is closing
    assert answer.writes[-1].endswith(b"hello")


async def test_an_answer_that_breaks_behind_its_head_closes_the_connection() -> None:
    answer = await written(f"{POST}\r\n", [(b"content-length", b"5")], [], breaks=True)
    assert answer.closed


async def test_a_body_that_is_there_is_taken_at_once_and_only_once() -> None:
    taken: list[Any] = []

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        body, again = await bodies.read(scope, receive)
        taken.append((body, await again()))
        taken.append(await again())
        await send({"type": "http.response.start", "status": 200, "headers": []})

    connection, state = Written(), ServerState()
    protocol = Http(config_of(cast(Any, answering), "127.0.0.1", 0, "critical"), state, {})
    protocol.connection_made(connection)
    protocol.data_received(POST.replace("Length: 0", "Length: 5").encode() + b"\r\nhello")
    while not taken:
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    await asyncio.gather(*state.tasks)
    whole = {"type": "http.request", "body": b"hello", "more_body": False}
    assert taken == [(b"hello", whole), {"type": "http.disconnect"}]

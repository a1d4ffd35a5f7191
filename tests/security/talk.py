"""What these tests say over a socket, and how it is taken. Holds no test."""

from typing import Any

from tests.perch import Perch, Socket

QUERY = {"query": "{ __typename }"}
ANSWER = {"data": {"__typename": "Query"}}


def subscribe(id_: Any = "1", **payload: Any) -> dict[str, Any]:
    """A subscribe message; without a payload, of a query that anybody may ask."""
    return {"type": "subscribe", "id": id_, "payload": payload or QUERY}


async def close_code(perch: Perch, *frames: Any, init: bool = True) -> int:
    """How the server closes a socket on which this was said."""
    return (await close_frame(perch, *frames, init=init))[0]


async def close_frame(perch: Perch, *frames: Any, init: bool = True) -> tuple[int, str]:
    """The same, with the reason."""
    async with perch.socket() as socket:
        if init:
            await socket.init()
        for frame in frames:
            await socket.send(frame)
        return await socket.closed(), socket.connection.close_reason or ""


async def alive(socket: Socket) -> None:
    """The socket still answers, and had nothing else to say."""
    await socket.send(subscribe("alive"))
    assert await socket.receive() == {"type": "next", "id": "alive", "payload": ANSWER}
    assert await socket.receive() == {"type": "complete", "id": "alive"}


async def ask(socket: Socket, id_: str, query: str, **variables: Any) -> Any:
    """The payload of an operation that gives one answer."""
    await socket.send(subscribe(id_, query=query, variables=variables))
    message = await socket.receive()
    assert (message["type"], message["id"]) == ("next", id_), message
    assert await socket.receive() == {"type": "complete", "id": id_}
    return message["payload"]


async def refused(socket: Socket, id_: str, query: str, **more: Any) -> list[str]:
    """The codes of an operation that ends with an error before it gives anything."""
    await socket.send(subscribe(id_, query=query, **more))
    message = await socket.receive()
    assert (message["type"], message["id"]) == ("error", id_), message
    assert all(isinstance(error["message"], str) for error in message["payload"])
    return [error["extensions"]["code"] for error in message["payload"]]

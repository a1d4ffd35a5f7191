"""Bodies: what a request sends, whole, before anything is made of it: so large at most, and in time. Parses nothing."""

import asyncio
from typing import Any

from cross_web import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope

from schema import limits


async def read(scope: Scope, receive: Receive) -> tuple[bytes, Receive]:
    """The body, and a `receive` that gives it once more. Nobody waits for what the server has already, all of it nearly
    always. Raises 413 and 408 as HTTPException, and ClientDisconnect
    where there is nobody any more who would be answered."""
    whole = scope.get("extensions", {}).get("perch.body")
    body = whole() if whole else None
    if body is None:
        body = await _awaited(scope, receive)
    elif len(body) > limits.BODY_BYTES:
        raise _too_large()
    given = False

    async def again() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, again


async def _awaited(scope: Scope, receive: Receive) -> bytes:
    try:
        async with asyncio.timeout(limits.BODY_WAIT_SECONDS):
            return await Request(scope, _bounded(receive)).body()
    except TimeoutError:
        raise HTTPException(408, "The body did not come in time.") from None


def _bounded(receive: Receive) -> Receive:
    """At most BODY_BYTES of a body, whatever its header says. Raises 413."""
    size = 0

    async def bounded() -> Any:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limits.BODY_BYTES:
            raise _too_large()
        return message

    return bounded


def _too_large() -> HTTPException:
    return HTTPException(413, f"A body has at most {limits.BODY_BYTES} bytes.")

"""Deadlines of requests: each has its own, whatever it shares a connection with."""

import asyncio
import json
from time import monotonic
from typing import Any

from datastore.settings import Settings
from tests.perch import PATIENCE_SECONDS, serving

SECONDS = 0.5
BODY = json.dumps({"query": '{ user(username: "nobody") { id } }'}).encode()
REQUEST = (
    b"POST /graphql HTTP/1.1\r\nhost: perch\r\naccept: application/json\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


async def answered(reader: asyncio.StreamReader) -> Any:
    """The errors of the next answer, None without any."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return json.loads(await reader.readexactly(int(length.partition(b":")[2]))).get("errors")


async def test_a_connection_outlives_the_deadline_of_the_requests_that_came_before(settings: Settings) -> None:
    own = settings.model_copy(update={"request_seconds": SECONDS})
    async with serving(own) as perch:
        _, _, port = perch.url.rpartition(":")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        # Three at once: the server stops reading, and a request of its own lets it go on.
        writer.write(3 * REQUEST)
        begun = monotonic()
        refused = [await answered(reader) for _ in range(3)]
        # A machine that stands still may cost a request its time, but never those behind it on the connection.
        async with asyncio.timeout(PATIENCE_SECONDS):
            while refused[-1] or monotonic() < begun + 2 * SECONDS:
                writer.write(REQUEST)
                refused.append(await answered(reader))
        writer.close()

"""The client that drives a server, and what the server process used meanwhile. Knows nothing of what is asked.

A connection sends a request when it has the answer to the one before, as wrk does; the answer's status and its end are
parsed by httptools, in C, so that a request costs the client a small part of what it costs any server.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

from tests.bench.machine import cpu_seconds, own_cpu_seconds, rss_mb

# What an answer to an operation that failed has in its body, of whichever server.
FAILED = (b'"errors":[{', b'"errors": [{')
# The beginning of a run, where all connections send at once and no server remembers who they are, does not count
# among the times: how many answers it is a hundredth of depends on how long the run is.
BEGINNING = 0.25
# A server that takes longer for its last answers than this hangs.
PATIENCE_SECONDS = 10
Request = bytes


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured while some connections kept a server busy: CPU of its process in ms for each answer, answers a
    second, percentiles of their times in ms, of those asked for behind its first quarter, its resident memory in
    MB, and the client's own CPU in ms for each."""

    answers: int
    cpu_ms: float
    per_second: float
    p50_ms: float
    p99_ms: float
    rss_mb: float
    client_cpu_ms: float


class Failed(Exception):
    """A server gave an answer that is none."""


def post(url: str, body: bytes, token: str | None = None) -> Request:
    """A request as it goes over the wire."""
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    head += f"Accept: application/json\r\nContent-Length: {len(body)}\r\n"
    head += f"Authorization: Bearer {token}\r\n\r\n" if token else "\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One connection, busy until `until`. `took` are its answers: when each was asked for, and for how long, in
    seconds."""

    def __init__(self, requests: Iterator[Request], until: float) -> None:
        self._requests = requests
        self._until = until
        self.took: list[tuple[float, float]] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._began = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self.took.append((self._began, now - self._began))
        if self._parser.get_status_code() != 200 or any(sign in self._body for sign in FAILED):
            self._end(Failed(self._body[:500].decode()))
        elif now >= self._until:
            self._end(None)
        else:
            # Not from within the parser, which is still at the message's end.
            asyncio.get_running_loop().call_soon(self._send)

    def _end(self, error: Exception | None) -> None:
        self._transport.close()
        if not self.done.done():
            self.done.set_exception(error) if error else self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or Failed("the server closed the connection"))


async def measure(url: str, pid: int, requests: Iterator[Request], connections: int, seconds: float) -> Sample:
    """Keep the server busy over so many connections for so long; the requests are shared among them. Raises Failed."""
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    cpu, began, own = cpu_seconds(pid), time.perf_counter(), own_cpu_seconds()
    until = began + seconds
    opened = [
        (await loop.create_connection(lambda: Connection(requests, until), parts.hostname or "", parts.port or 80))[1]
        for _ in range(connections)
    ]
    async with asyncio.timeout(seconds + PATIENCE_SECONDS):
        await asyncio.gather(*(one.done for one in opened))
    wall, used, client = time.perf_counter() - began, cpu_seconds(pid) - cpu, own_cpu_seconds() - own
    all_ = [one for connection in opened for one in connection.took]
    answers = len(all_)
    later = [took for at, took in all_ if at >= began + BEGINNING * seconds]
    took = sorted(later or [took for _, took in all_])
    return Sample(
        answers,
        1000 * used / answers,
        answers / wall,
        1000 * statistics.median(took),
        1000 * took[int(0.99 * len(took))],
        rss_mb(pid),
        1000 * client / answers,
    )

"""A client that stops reading costs bounded memory, hears of what it missed, and is let go after a while."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import websockets

from datastore import ids
from realtime import keys
from realtime.reader import QUEUE_LIMIT, Said
from resolvers.rounds import EVENTS_AT_ONCE
from schema import cursors, globalid
from tests.bare import Bare, crowd, unread_bytes
from tests.perch import LIVE, PATIENCE_SECONDS, Perch, Person, serving

# Each answer names its operation twice. All together they are more than the system buffers between two sockets.
LONG_NAME = "x" * 60_000
ANSWERS = 100
# Events of some 2 KB: as many as one subscription may still ask for.
TEXTS = " ".join(f"t{number}: text" for number in range(12))
LONG = f"""subscription {{ homeTimelineEvents {{ __typename ... on TimelineResync {{ reason }}
  ... on TimelineTweetAdded {{ edge {{ node {{ {TEXTS} }} }} }} }} }}"""
EVENT_BYTES = 1900
STOPPED, READING, MANY = 50, 950, 80
UNREAD_KB = 16


def services_of(perch: Perch) -> Any:
    return perch.endpoint._services


@pytest.fixture
async def strict(perch: Perch) -> AsyncIterator[Perch]:
    """A second server, with a second of patience for those who read nothing."""
    async with serving(perch.settings.model_copy(update={"stalled_seconds": 1})) as strict:
        yield strict


@pytest.mark.parametrize(("posts", "told"), [(QUEUE_LIMIT + 40, False), (500, True)])
async def test_a_reader_who_stops_reads_on_from_where_they_were_or_is_told_to_resync(
    perch: Perch, posts: int, told: bool
) -> None:
    reader, author = await perch.persons(2)
    await reader.follow(author)
    await perch.settle()
    services, author_id = services_of(perch), globalid.of_type(author.id, "User")
    async with services.hub.attach(globalid.of_type(reader.id, "User")) as attached:
        events = attached.events(cursors.decode_live((await reader.home())["liveCursor"]))
        await author.post("first")
        seen: list[Said] = [(await asyncio.wait_for(anext(events), PATIENCE_SECONDS))[1]]
        expected = [globalid.of_type((await author.post("one"))["id"], "Tweet")]
        for number in range(posts - 1):
            tweet = await services.tweets.add(author_id, f"number {number}", ids.now_ms())
            expected.append(tweet.id)
        await perch.settle()
        assert len(attached.own.queue) <= QUEUE_LIMIT
        while len(seen) <= posts and seen[-1].kind != "s":
            _, said = await asyncio.wait_for(anext(events), PATIENCE_SECONDS)
            # Events are handled at least once: the follow may be told again.
            seen += [said] if said.reason != "FOLLOWS_CHANGED" else []
        await events.aclose()
    given = [event.entry_id for event in seen[1:] if event.kind == "+"]
    assert given == expected[: len(given)]
    if told:
        assert (seen[-1].kind, seen[-1].reason) == ("s", "SLOW_CONSUMER")
    else:
        assert given == expected


@pytest.fixture
async def roomy(perch: Perch) -> AsyncIterator[Perch]:
    """A second server, where one person may have many sockets, the system holds little of what they do not read, and
    nobody is let go for it while a busy machine serves the others."""
    update = {"sockets_per_user": STOPPED + READING, "unread_kb": UNREAD_KB, "stalled_seconds": 600}
    async with serving(perch.settings.model_copy(update=update)) as roomy:
        yield roomy


async def test_fifty_of_a_thousand_who_stop_cost_bounded_memory_and_the_others_nothing(roomy: Perch) -> None:
    reader, author = await roomy.persons(2)
    await reader.follow(author)
    await roomy.settle()
    services, author_id = services_of(roomy), globalid.of_type(author.id, "User")
    stopped = await crowd(roomy.url, reader.token, LONG, STOPPED, narrow=True)
    of_stopped = [one._frames._protocol.transport for one in roomy.app.state.sockets._open]
    reading = await crowd(roomy.url, reader.token, LONG, READING)
    try:
        await until_all_listen(roomy, reader, STOPPED + READING)
        for one in stopped:
            one.transport.pause_reading()
        expected = [f"{number} {'x' * 120}" for number in range(MANY)]
        for text in expected:
            await services.tweets.add(author_id, text, ids.now_ms())
        await until_each_has(reading, MANY)
        assert texts_of(reading[0]) == expected
        assert all(one.payloads == reading[0].payloads for one in reading)
        assert max(map(unread_bytes, of_stopped)) < 2 * UNREAD_KB * 1024
        # uvicorn's mark of 64 KB, and one round's events behind it. A round with theirs may still be under way.
        async with asyncio.timeout(PATIENCE_SECONDS):
            while min(held := [transport.get_write_buffer_size() for transport in of_stopped]) <= 60_000:
                await asyncio.sleep(0.05)
        assert max(held) < 64 * 1024 + EVENTS_AT_ONCE * EVENT_BYTES
        for one in stopped:
            one.read_on()
        # They read on from where they were.
        await until_each_has(stopped, MANY)
        assert all(one.payloads == reading[0].payloads for one in stopped)
    finally:
        for one in (*stopped, *reading):
            one.transport.abort()


async def until_each_has(crowd_: Sequence[Bare], count: int) -> None:
    """So many events have come to each: to a thousand on a machine that does ten other things."""
    async with asyncio.timeout(6 * PATIENCE_SECONDS):
        while any(len(one.payloads) < count for one in crowd_):
            await asyncio.sleep(0.05)


def texts_of(bare: Bare) -> list[str]:
    """What was added, in order."""
    events = [json.loads(payload)["payload"]["data"]["homeTimelineEvents"] for payload in bare.payloads]
    return [event["edge"]["node"]["t0"] for event in events]


async def until_all_listen(perch: Perch, reader: Person, readers: int) -> None:
    """So many subscriptions of theirs have read on from where they begin."""
    channel = keys.reader_channel(globalid.of_type(reader.id, "User"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            group = services_of(perch).hub._readers.get(channel, ())
            if len(group) == readers and not any(one.stale or not one.own.position for one in group):
                return
            await asyncio.sleep(0.02)


async def test_a_socket_that_nobody_reads_is_closed_with_1013_and_the_others_go_on(strict: Perch) -> None:
    lazy, reader, author = await strict.persons(3)
    for person in (lazy, reader):
        await person.follow(author)
    await strict.settle()
    async with reader.live() as live, unread(strict, lazy.token) as connection:
        channel = keys.reader_channel(globalid.of_type(lazy.id, "User"))
        async with asyncio.timeout(3 * PATIENCE_SECONDS):
            for listeners in (1, 0):
                while (await strict.redis.pubsub_shardnumsub(channel))[0][1] != listeners:
                    await asyncio.sleep(0.05)
            sock = connection.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            with pytest.raises(websockets.ConnectionClosedError):
                async for _ in connection:
                    pass
        assert connection.close_code == 1013
        await author.post("to those who read")
        assert await live.added() == "to those who read"


async def test_a_socket_that_is_never_read_again_is_dropped(strict: Perch) -> None:
    lazy = await strict.person()
    async with unread(strict, lazy.token) as connection:
        sockets = strict.app.state.sockets
        async with asyncio.timeout(3 * PATIENCE_SECONDS):
            while sockets.session_ids():
                await asyncio.sleep(0.05)
        with pytest.raises(websockets.ConnectionClosedError):
            async for _ in connection:
                pass
        assert connection.close_code == 1006


def unread(perch: Perch, token: str) -> Any:
    """A socket with a subscription and so many large answers on their way that its buffers are full."""
    return Unread(perch, token)


class Unread:
    """As a context manager: the connection, whose messages nobody takes."""

    def __init__(self, perch: Perch, token: str) -> None:
        self._perch, self._token = perch, token

    async def __aenter__(self) -> Any:
        url = self._perch.url.replace("http", "ws") + "/graphql"
        # A small window, so that the server notices soon.
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", int(self._perch.url.rpartition(":")[2])))
        options: Any = {"subprotocols": ["graphql-transport-ws"], "compression": None, "max_queue": 1}
        self._connection = await websockets.connect(url, sock=sock, ping_interval=None, max_size=None, **options)
        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}}
        await self._connection.send(json.dumps(init))
        await self._connection.recv()
        await self._subscribe("live", LIVE)
        self._asking = asyncio.create_task(self._ask_much())
        return self._connection

    async def _ask_much(self) -> None:
        for number in range(ANSWERS):
            await self._subscribe(f"{number}{LONG_NAME}", "{ __typename }")

    async def _subscribe(self, id_: str, query: str) -> None:
        message = {"type": "subscribe", "id": id_, "payload": {"query": query}}
        await self._connection.send(json.dumps(message))

    async def __aexit__(self, *_: object) -> None:
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)
        self._connection.transport.abort()

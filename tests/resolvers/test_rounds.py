"""Rounds give nothing to a client that has not read what it has, and lose nothing of what came meanwhile; one that
waits for its store keeps nobody waiting but those whose events it has."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from datastore.records import HomeTimelineEvent, TweetAdded
from resolvers.audience import Asked, Audience, Scene
from resolvers.rounds import Late, Rounds
from schema import cursors, globalid
from tests.perch import PATIENCE_SECONDS, Perch, Person


class Client:
    """Takes events as long as it can. `room`: how many before it must be waited for, with `read` for more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.taken: list[int] = []
        self.slowly = 0
        self.waited_for, self._read = asyncio.Event(), asyncio.Event()

    def read(self) -> None:
        self.room = 1000
        self._read.set()

    def is_writable(self) -> bool:
        return self.room > 0

    async def drained(self) -> None:
        self.waited_for.set()
        await self._read.wait()

    def give(self, event: HomeTimelineEvent, _position: str, _: Scene) -> None:
        assert self.is_writable(), "given more than it has read"
        self._take(event)

    async def give_slowly(self, late: Sequence[Late], _: Scene) -> None:
        await self.drained()
        self.slowly += len(late)
        for event, _position, _begun in late:
            self._take(event)

    def _take(self, event: HomeTimelineEvent) -> None:
        assert isinstance(event, TweetAdded)
        self.room -= 1
        self.taken.append(event.edge.entry_id)


async def started(perch: Perch) -> tuple[Person, Person, str | None]:
    """A reader, an author whom they follow, and where the reader stands."""
    reader, author = await perch.persons(2)
    await reader.follow(author)
    await perch.settle()
    return reader, author, cursors.decode_live((await reader.home())["liveCursor"])


async def posted(author: Person, count: int) -> list[int]:
    return [globalid.of_type((await author.post(f"number {number}"))["id"], "Tweet") for number in range(count)]


async def served(perch: Perch, reader: Person, after: str | None, client: Client, count: int) -> None:
    """Until it has taken so many. It reads when it is waited for."""
    services: Any = perch.endpoint._services
    rounds = Rounds(services)
    serving = asyncio.create_task(rounds.serve(globalid.of_type(reader.id, "User"), after, client))
    waiting = asyncio.create_task(client.waited_for.wait())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
            client.read()
            while len(client.taken) < count and not serving.done():
                await asyncio.sleep(0.01)
    finally:
        serving.cancel()
        waiting.cancel()
    with suppress(asyncio.CancelledError):
        await serving


async def test_a_client_that_reads_nothing_is_given_nothing_and_everything_once_it_reads(perch: Perch) -> None:
    reader, author, after = await started(perch)
    expected = await posted(author, 3)
    await perch.settle()
    client = Client(0)
    await served(perch, reader, after, client, len(expected))
    # Nothing had been read for it meanwhile: it stood where it was.
    assert (client.taken, client.slowly) == (expected, 0)


async def test_a_client_that_stops_within_a_round_has_the_rest_of_it_when_it_has_read(perch: Perch) -> None:
    reader, author, after = await started(perch)
    expected = await posted(author, 4)
    await perch.settle()
    client = Client(1)
    await served(perch, reader, after, client, len(expected))
    assert (client.taken, client.slowly) == (expected, 3)


class Held(Audience):
    """Answers only once it is let go, where these readers' events are among those asked about."""

    def __init__(self, services: Any) -> None:
        super().__init__(services)
        self.held: set[int] = set()
        self.reached, self.let_go = asyncio.Event(), asyncio.Event()

    async def look(self, asked: Sequence[Asked]) -> tuple[list[HomeTimelineEvent | None], Scene]:
        if self.held & {viewer for viewer, _ in asked}:
            self.reached.set()
            await self.let_go.wait()
        return await super().look(asked)


async def test_a_round_that_waits_keeps_no_other_readers_waiting_and_its_own_in_order(perch: Perch) -> None:
    slow, author, after = await started(perch)
    quick = await perch.person()
    await quick.follow(author)
    await perch.settle()
    position = cursors.decode_live((await quick.home())["liveCursor"])
    services: Any = perch.endpoint._services
    rounds, slow_id, quick_id = Rounds(services), *(globalid.of_type(one.id, "User") for one in (slow, quick))
    held = rounds._audience = Held(services)
    held.held = {slow_id}
    clients = Client(1000), Client(1000)
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rounds.serve(slow_id, after, clients[0]))
        expected = await posted(author, 1)
        await held.reached.wait()
        others = tasks.create_task(rounds.serve(quick_id, position, clients[1]))
        expected += await posted(author, 2)
        while len(clients[1].taken) < 3:
            await asyncio.sleep(0.01)
        assert clients[0].taken == []
        held.let_go.set()
        while len(clients[0].taken) < 3:
            await asyncio.sleep(0.01)
        serving.cancel()
        others.cancel()
    assert [client.taken for client in clients] == [expected, expected]


async def test_few_events_wait_for_no_company(perch: Perch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolvers.rounds.GATHER_SECONDS", 1000 * PATIENCE_SECONDS)
    reader, author, after = await started(perch)
    services: Any = perch.endpoint._services
    client, expected = Client(1000), list[int]()
    serving = asyncio.create_task(Rounds(services).serve(globalid.of_type(reader.id, "User"), after, client))
    async with asyncio.timeout(PATIENCE_SECONDS):
        for number in range(5):
            expected += await posted(author, 1)
            while len(client.taken) <= number:
                await asyncio.sleep(0.01)
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving
    assert client.taken == expected

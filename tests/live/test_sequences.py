"""Readers on two servers get exactly their sequence, or are told to resync: whatever is cut, lost or slow meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from realtime import keys
from schema import globalid
from tests.perch import Live, Perch, Person, serving

POSTS = 60
ALL_OF_IT_SECONDS = 30


@pytest.fixture
async def other(perch: Perch) -> AsyncIterator[Perch]:
    """A second server on the same MongoDB and Redis."""
    async with serving(perch.settings) as other:
        yield other


class Client:
    """Follows the recipe of docs/live.md, and now and then loses its connection or does not read."""

    def __init__(self, person: Person, servers: list[Perch], seed: int) -> None:
        self.person, self.servers = person, servers
        self.random = random.Random(seed)
        self.texts: list[str] = []
        self.fetched: list[str] = []
        self.resyncs: list[str] = []
        self.after = ""

    async def run(self, last: str) -> None:
        """Until the last text has come."""
        while last not in self.texts:
            self.person.perch = self.random.choice(self.servers)
            async with self.person.live(self.after) as live:
                await self._read(live, self.random.randrange(1, 15), last)
            # Resuming twice in a row: the second time nothing may come again.
            async with self.person.live(self.after):
                pass

    async def _read(self, live: Live, count: int, last: str) -> None:
        for _ in range(count):
            if self.random.random() < 0.1:
                await asyncio.sleep(0.05)
            event = await live.event()
            self.after = event["cursor"]
            if event["__typename"] == "TimelineResync":
                self.resyncs.append(event["reason"])
                page = reversed(await self.person.texts())
                self.fetched += (fetched := [text for text in page if text not in self.texts])
                self.texts += fetched
            elif (text := event["edge"]["node"]["text"]) not in self.fetched:  # events may repeat what a page shows
                self.texts.append(text)
            if last in self.texts:
                return


async def test_readers_on_two_servers_get_exactly_their_sequence_while_pubsub_is_cut_again_and_again(
    perch: Perch, other: Perch
) -> None:
    author, *readers = await perch.persons(7)
    for reader in readers:
        await reader.follow(author)
    await perch.settle()
    clients = [Client(reader, [perch, other], seed) for seed, reader in enumerate(readers)]
    for client in clients:
        client.after = (await client.person.home())["liveCursor"]
    expected = [f"number {number}" for number in range(POSTS)]
    async with asyncio.timeout(ALL_OF_IT_SECONDS):
        running = [asyncio.create_task(client.run(expected[-1])) for client in clients]
        for number, text in enumerate(expected):
            if number % 5 == 0:
                await perch.kill_pubsub()
            await author.post(text)
        await asyncio.gather(*running)
    for client in clients:
        assert client.texts == expected
        assert client.resyncs == []


@pytest.mark.parametrize("what", ["presence", "stream", "both"])
async def test_live_state_that_is_lost_midway_is_a_resync_and_never_a_hole(
    perch: Perch, other: Perch, what: str
) -> None:
    author, reader = await perch.persons(2)
    await reader.follow(author)
    await perch.settle()
    reader_id = globalid.of_type(reader.id, "User")
    lost: dict[str, list[Any]] = {
        "presence": [keys.presence(reader_id)],
        "stream": [keys.reader_stream(reader_id)],
        "both": [keys.presence(reader_id), keys.reader_stream(reader_id)],
    }
    client = Client(reader, [perch, other], 7)
    client.after = (await reader.home())["liveCursor"]
    async with asyncio.timeout(ALL_OF_IT_SECONDS):
        running = asyncio.create_task(client.run("last"))
        for number in range(20):
            await author.post(f"number {number}")
            if number == 10:
                await perch.settle()
                await perch.redis.unlink(*lost[what])
        await perch.settle()
        await author.post("last")
        await running
    assert client.texts == [*(f"number {number}" for number in range(20)), "last"]

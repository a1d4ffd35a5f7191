"""Clients that vanish in crowds leave nothing behind and hold nobody up."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import psutil

from realtime import keys
from schema import globalid
from tests.bare import Bare, connected
from tests.faults.box import SERVERS, Box, eventually
from tests.perch import LIVE, Person

# Each of ten people has a hundred.
CROWD, PEOPLE = 1000, 10
# Connected; said who they are; subscribed and not yet answered.
STAGES = 3
HALFWAY = 60
# Requests of others that may be in hand or keep their connection.
FEW = 10
PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Held:
    """What a server holds for its sockets."""

    readers: float
    tasks: float
    channels: int
    connections: int

    def is_back_at(self, before: "Held") -> bool:
        """Nothing is left but what a few requests of others make."""
        same = (self.readers, self.channels) == (before.readers, before.channels)
        return same and self.tasks < before.tasks + FEW and self.connections < before.connections + FEW


async def held(box: Box) -> Held:
    """By the first server now."""
    channels = await box.perch.redis.pubsub_shardchannels()
    port = int(box.perch.url.rpartition(":")[2])
    theirs = [one for one in psutil.Process(box.pid(SERVERS[0])).net_connections("tcp") if one.laddr.port == port]
    return Held(await box.metric("perch_live_readers"), await box.metric("perch_tasks"), len(channels), len(theirs))


async def opened(people: list[Person], stage: int, number: int) -> Bare:
    """A connection that got so far."""
    person = people[number % PEOPLE]
    made = await connected(person.perch.url, person.token, LIVE)
    if stage > 0:
        made.begin()
    if stage > 1:
        made.listen()
    return made


@asynccontextmanager
async def reading(reader: Person) -> AsyncIterator[list[float]]:
    """They read page after page meanwhile; gives how long each took."""
    took: list[float] = []

    async def pages() -> None:
        while True:
            began = time.monotonic()
            await reader.home()
            took.append(time.monotonic() - began)

    task = asyncio.create_task(pages())
    try:
        yield took
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_thousand_live_sockets_that_are_reset_at_once_leave_nothing_and_hold_nobody_up(box: Box) -> None:
    author, calm, *people = await box.perch.persons(2 + PEOPLE)
    for reader in (calm, *people):
        await reader.follow(author)
    await box.perch.settle()
    async with calm.live((await calm.home())["liveCursor"]) as live:
        await author.post("before")
        assert await live.added() == "before"
        before = await held(box)
        crowd = [await opened(people, STAGES - 1, number) for number in range(CROWD)]

        async def all_listen() -> bool:
            return (await held(box)).readers == before.readers + CROWD

        await eventually(all_listen, PATIENCE_SECONDS)
        # The control: what must go is seen while it is there.
        there = await held(box)
        assert there.channels == before.channels + PEOPLE
        # Connections of before may have ended by themselves.
        assert there.connections >= CROWD
        halfway = [await opened(people, number % STAGES, number) for number in range(HALFWAY)]

        async def all_gone() -> bool:
            return (await held(box)).is_back_at(before)

        async with reading(calm) as took:
            for one in [*crowd, *halfway]:
                one.reset()
            await author.post("meanwhile")
            assert await live.added() == "meanwhile"
            await eventually(all_gone, PATIENCE_SECONDS)
    print(f"{there}, then {before}; {len(took)} pages meanwhile, the slowest {max(took):.2f} s")
    # Presence outlives its sockets, for those who come back, and not for ever.
    for person in people:
        assert await box.perch.redis.ttl(keys.presence(globalid.of_type(person.id, "User"))) > 0

"""Walk 7: live attach and resume. Never a silent hole, never a repeat."""

import asyncio

import pytest

from realtime import keys
from schema import cursors, globalid
from tests.perch import PATIENCE_SECONDS, Perch, Person


def reader_id(person: Person) -> int:
    return globalid.of_type(person.id, "User")


@pytest.fixture
async def pair(perch: Perch) -> tuple[Person, Person]:
    """A reader and the author they follow, settled."""
    reader, author = await perch.persons(2)
    await reader.follow(author)
    await perch.settle()
    return reader, author


async def test_nothing_between_the_page_and_the_socket_is_lost(perch: Perch, pair: tuple[Person, Person]) -> None:
    reader, author = pair
    cursor = (await reader.home())["liveCursor"]
    expected = [(await author.post(f"meanwhile {number}"))["text"] for number in range(10)]
    await perch.settle()
    async with reader.live(cursor) as live:
        assert [await live.added() for _ in expected] == expected
        await author.post("live")
        assert await live.added() == "live"


async def test_a_resume_gives_what_was_missed_and_a_second_one_nothing(
    perch: Perch, pair: tuple[Person, Person]
) -> None:
    reader, author = pair
    async with reader.live((await reader.home())["liveCursor"]) as live:
        await author.post("seen")
        cursor = (await live.event())["cursor"]
    for number in range(5):
        await author.post(f"missed {number}")
    await perch.settle()
    async with reader.live(cursor) as live:
        events = [await live.event() for _ in range(5)]
        assert [event["edge"]["node"]["text"] for event in events] == [f"missed {number}" for number in range(5)]
    async with reader.live(events[-1]["cursor"]) as live:
        await author.post("next")
        assert await live.added() == "next"


async def test_a_flush_is_announced_and_the_subscription_goes_on(perch: Perch, pair: tuple[Person, Person]) -> None:
    reader, author = pair
    async with reader.live((await reader.home())["liveCursor"]) as live:
        await perch.redis.flushall()
        assert await live.resync() == "STATE_LOST"
        # What the workers had not yet acknowledged is relayed again, a follow and its resync perhaps among it.
        await perch.settle()
        await author.post("after")
        while (event := await live.event())["__typename"] == "TimelineResync":
            assert event["reason"] in ("STATE_LOST", "FOLLOWS_CHANGED")
        assert event["edge"]["node"]["text"] == "after"


async def test_a_position_that_redis_does_not_know_is_a_resync(perch: Perch, pair: tuple[Person, Person]) -> None:
    reader, author = pair
    await reader.home()
    for unknown in (cursors.encode_live("feedfeedfeedfeed.0/feed"), cursors.encode_live("")):
        async with reader.live(unknown) as live:
            assert await live.resync() == "STATE_LOST"
            await author.post("on")
            assert await live.added() == "on"


async def test_an_evicted_timeline_is_announced(perch: Perch, pair: tuple[Person, Person]) -> None:
    reader, author = pair
    async with reader.live((await reader.home())["liveCursor"]) as live:
        await perch.redis.unlink(keys.timeline(reader_id(reader)))
        await author.post("while it was gone")
        assert await live.resync() == "STATE_LOST"
        await author.post("after")
        assert await live.added() == "after"


async def test_killed_pubsub_connections_lose_nothing(perch: Perch, pair: tuple[Person, Person]) -> None:
    reader, author = pair
    async with reader.live((await reader.home())["liveCursor"]) as live:
        expected = []
        for number in range(40):
            if number % 4 == 0:
                await perch.kill_pubsub()
            expected.append((await author.post(f"number {number}"))["text"])
        assert [await live.added() for _ in expected] == expected


async def test_two_devices_of_one_reader_both_get_everything(perch: Perch, pair: tuple[Person, Person]) -> None:
    reader, author = pair
    cursor = (await reader.home())["liveCursor"]
    async with reader.live(cursor) as phone, reader.live(cursor) as desk:
        expected = [(await author.post(f"both {number}"))["text"] for number in range(5)]
        assert [await phone.added() for _ in expected] == expected
        assert [await desk.added() for _ in expected] == expected


async def test_authors_own_other_devices_hear_of_their_posts(perch: Perch) -> None:
    ann = await perch.person()
    async with ann.live((await ann.home())["liveCursor"]) as live:
        await ann.post("mine")
        event = await live.event()
    assert event["edge"]["source"] == "SELF"


async def test_a_reader_behind_by_more_than_the_stream_keeps_is_told_to_resync(
    perch: Perch, pair: tuple[Person, Person]
) -> None:
    reader, author = pair
    cursor = (await reader.home())["liveCursor"]
    stream = keys.reader_stream(reader_id(reader))
    for number in range(3):
        await author.post(f"old {number}")
    await perch.settle()
    # What a long absence does to the stream, without 300 posts: its old end is trimmed.
    await perch.redis.xtrim(stream, maxlen=1, approximate=False)
    async with reader.live(cursor) as live:
        assert await live.resync() == "STATE_LOST"


async def test_the_subscription_is_for_those_who_are_logged_in(perch: Perch) -> None:
    async with perch.socket() as socket:
        await socket.init()
        query = "subscription { homeTimelineEvents { __typename } }"
        await socket.send({"type": "subscribe", "id": "1", "payload": {"query": query}})
        message = await socket.receive()
    assert message["type"] in ("error", "next")
    errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    assert errors[0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_closed_socket_leaves_no_reader_and_no_channel(perch: Perch, pair: tuple[Person, Person]) -> None:
    reader, author = pair
    channel = keys.reader_channel(reader_id(reader))
    cursor = (await reader.home())["liveCursor"]
    async with reader.live(cursor) as live:
        await author.post("one")
        await live.added()
        assert await listeners(perch, channel) == 1
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await listeners(perch, channel):
            await perch.settle()


async def listeners(perch: Perch, channel: str) -> int:
    return int((await perch.redis.pubsub_shardnumsub(channel))[0][1])

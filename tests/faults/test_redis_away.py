"""Redis stops, hangs, forgets or cannot be reached: the same pages, soon, and it heals alone."""

import asyncio
import json
import shutil
import time
from random import Random

from tests.bare import Bare
from tests.bare import crowd as sockets
from tests.faults.box import Box, eventually
from tests.faults.crowds import crowd, judged
from tests.faults.misfortunes import pubsub_cut
from tests.faults.writers import writing
from tests.perch import LIVE, PATIENCE_SECONDS, Person

# Each of so many readers has so many subscriptions at each of the two servers.
READERS, SUBSCRIPTIONS = 10, 10


async def timed(reader: Person) -> float:
    """How long a page of 20 takes, which must be right."""
    began = time.monotonic()
    page = await reader.home()
    assert page["edges"]
    return time.monotonic() - began


async def test_pages_answer_while_redis_hangs_and_it_heals_alone(box: Box) -> None:
    (reader,), authors = await crowd(box)
    async with writing(box, authors) as writers:
        await writers.more(10)
        box.freeze(box.valkey)
        first = await timed(reader)
        later = [await timed(reader) for _ in range(10)]
        assert await box.metric("perch_redis_breaker_open") == 1
        # Behind the first ones nobody waits for Redis, but one probe at a time that finds out.
        assert await box.metric("perch_redis_breaker_refused_total") > 10
        # Tweets are accepted all the while.
        await writers.more(10)
        box.thaw()
        await eventually(lambda: closed(box), 10)
    print(f"first page {first:.2f} s, then {max(later):.2f} s at most, slowest write {writers.slowest_seconds:.2f} s")
    assert writers.failed == []
    await judged(writers, reader)


async def closed(box: Box) -> bool:
    """Whether both servers ask Redis again; asking them is what makes them try."""
    for perch in box.perches:
        await perch.ask("{ topTweets(first: 1) { nodes { id } } }")
    return not any([await box.metric("perch_redis_breaker_open", server) for server in (0, 1)])


async def test_one_server_that_cannot_reach_redis_answers_by_itself_and_its_readers_are_told(box: Box) -> None:
    (reader,), (author, *_) = await crowd(box)
    away = box.at(reader, 1)
    async with away.live((await away.home())["liveCursor"]) as live:
        await author.post("with Redis")
        assert await live.added() == "with Redis"
        box.redis_line.hold()
        await author.post("without")
        await box.perch.settle()
        # The other server is served as ever; this one asks MongoDB.
        assert (await box.at(reader, 0).texts())[0] == "without"
        assert (await away.texts())[0] == "without"
        box.redis_line.pass_on()
        box.redis_line.cut()
        assert await live.added() == "without"


async def test_a_redis_that_restarts_empty_under_load_changes_no_page(box: Box) -> None:
    (reader,), authors = await crowd(box)
    async with reader.live((await reader.home())["liveCursor"]) as live, writing(box, authors) as writers:
        await writers.more(20)
        await box.kill_child(box.valkey)
        shutil.rmtree(box.valkey.program.log.parent / "appendonlydir")
        await box.valkey.start()
        await writers.more(20)
        async with asyncio.timeout(20):
            while (await live.event())["__typename"] != "TimelineResync":
                pass
    assert writers.failed == []
    await judged(writers, reader)


async def test_200_subscriptions_get_exactly_their_sequence_while_pubsub_is_cut_every_150_ms(box: Box) -> None:
    readers, (author,) = await crowd(box, readers=READERS, writers=1)
    listening: list[Bare] = []
    for reader in readers:
        after = (await reader.home())["liveCursor"]
        query = LIVE.replace("($after: String)", "").replace("$after", json.dumps(after))
        for perch in box.perches:
            listening += await sockets(perch.url, reader.token, query, SUBSCRIPTIONS)
    async with writing(box, [author]) as writers:
        await pubsub_cut(box, Random())
    expected = writers.acked[author.id]

    async def all_have_all() -> bool:
        return all(len(one.payloads) >= len(expected) for one in listening)

    await eventually(all_have_all, 3 * PATIENCE_SECONDS)
    for one in listening:
        events = [json.loads(payload)["payload"]["data"]["homeTimelineEvents"] for payload in one.payloads]
        assert [event["edge"]["node"]["text"] for event in events if "edge" in event] == expected
        assert len(events) == len(expected)
        one.transport.abort()

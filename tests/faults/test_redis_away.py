"""Redis stops, hangs, forgets or cannot be reached: the same pages, soon, and it heals alone."""

import asyncio
import shutil
import time

from tests.faults.box import Box, eventually
from tests.faults.crowds import crowd, judged
from tests.faults.writers import writing
from tests.perch import Person


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

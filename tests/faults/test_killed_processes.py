"""Processes that are killed lose nothing that was accepted, and those that are told to stop lose nothing at all."""

import asyncio

from realtime import keys
from schema import globalid
from tests.faults.box import PARTITIONS, REPAIR_SECONDS, SERVERS, WORKERS, Box
from tests.faults.crowds import audience, crowd, gather, judged
from tests.faults.writers import POST, all_pages, writing
from tests.perch import PATIENCE_SECONDS, Person

# The first are fewer than take a lane of their own, and enough for a worker to be at it for a while.
AUDIENCE, LANE_OF_ITS_OWN = 900, 200
# In each of them both workers die, and each author writes twice.
ROUNDS = 10


async def until_in_hand(box: Box) -> None:
    """Wait until some worker has taken events that it has not acknowledged."""
    streams = [keys.events(partition) for partition in range(PARTITIONS)]
    async with asyncio.timeout(REPAIR_SECONDS):
        while not any([(await box.perch.redis.xpending(stream, keys.GROUP))["pending"] for stream in streams]):
            await asyncio.sleep(0)


async def shown(reader: Person, expected: list[str]) -> None:
    """Wait until the reader's kept timeline shows exactly this."""
    async with asyncio.timeout(3 * PATIENCE_SECONDS):
        while await reader.texts() != expected:
            await asyncio.sleep(0.05)


async def test_workers_killed_with_events_in_hand_lose_none_and_double_none(box: Box) -> None:
    (reader,), authors = await crowd(box)
    posted: list[dict[str, str]] = []
    async with (
        audience(box, authors, AUDIENCE) as many,
        audience(box, authors[:1], LANE_OF_ITS_OWN, first=AUDIENCE + 1) as more,
    ):
        async with reader.live((await reader.home())["liveCursor"]) as live:
            watching = asyncio.create_task(gather(reader, live, ROUNDS * 2 * len(authors)))
            for round_ in range(ROUNDS):
                await box.repair()
                writing = [box.at(one, n % 2).post(f"{n}, round {round_}") for n, one in enumerate(2 * authors)]
                accepted = asyncio.gather(*writing)
                await until_in_hand(box)
                await asyncio.gather(*map(box.kill, WORKERS))
                posted += await accepted
            await box.repair()
            seen = await asyncio.wait_for(watching, 3 * PATIENCE_SECONDS)
        by_id = {globalid.of_type(tweet["id"], "Tweet"): tweet["text"] for tweet in posted}
        newest = sorted(by_id, reverse=True)
        assert await many.hold(2 * len(posted)) == {tuple(map(str, newest))}
        of_the_first = [str(one) for one in newest if int(by_id[one].partition(",")[0]) % len(authors) == 0]
        assert await more.hold(2 * len(posted)) == {tuple(of_the_first)}
    texts = [by_id[tweet_id] for tweet_id in newest]
    assert sorted(seen) == sorted(texts)
    assert await all_pages(reader) == texts
    # Nothing comes twice either: the next event is the next tweet.
    async with reader.live((await reader.home())["liveCursor"]) as live:
        await authors[0].post("the end")
        assert await live.added() == "the end"


async def test_without_a_worker_posts_are_accepted_and_delivered_when_one_comes(box: Box) -> None:
    (bob,), (ann,) = await crowd(box, writers=1)
    for worker in WORKERS:
        await box.kill(worker)
    expected = [(await ann.post(f"number {number}"))["text"] for number in range(10)]
    assert await ann.texts() == expected[::-1]
    # The control: nobody has pushed, so the kept timeline is still empty.
    assert await bob.texts() == []
    await box.repair()
    assert await bob.texts() == expected[::-1]


async def test_a_server_killed_right_after_the_insert_has_its_tweet_delivered(box: Box) -> None:
    (bob,), (ann,) = await crowd(box, writers=1)
    asking = asyncio.create_task(ann.ask(POST, input={"text": "last words"}))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await box.perch.mongo.tweets.find_one({"text": "last words"}):
            await asyncio.sleep(0)
    await box.kill(SERVERS[0])
    # Mostly it has not answered.
    await asyncio.gather(asking, return_exceptions=True)
    await shown(box.at(bob, 1), ["last words"])


async def test_the_killed_servers_clients_resume_on_the_other_twice_in_a_row(box: Box) -> None:
    (bob,), (ann,) = await crowd(box, writers=1)
    elsewhere = box.at(ann, 1)
    async with bob.live((await bob.home())["liveCursor"]) as live:
        await elsewhere.post("posted elsewhere")
        event = await live.event()
        assert event["edge"]["node"]["text"] == "posted elsewhere"
    await box.kill(SERVERS[0])
    await elsewhere.post("missed")
    # Else it may come live.
    await box.perch.settle()
    async with box.at(bob, 1).live(event["cursor"]) as live:
        event = await live.event()
        assert event["edge"]["node"]["text"] == "missed"
    # The second resume replays nothing.
    async with box.at(bob, 1).live(event["cursor"]) as live:
        await elsewhere.post("live")
        assert await live.added() == "live"


async def test_a_flush_under_load_leaves_every_page_right(box: Box) -> None:
    readers, authors = await crowd(box, readers=3)
    async with writing(box, authors) as writers:
        for _ in range(3):
            await writers.more(10)
            await box.perch.redis.flushall()
            for reader in readers:
                await reader.home()
    assert writers.failed == []
    for reader in readers:
        await judged(writers, reader)


async def test_a_rolling_restart_under_load_fails_no_request_and_no_live_reader_misses_any(box: Box) -> None:
    (reader,), authors = await crowd(box)
    screen: dict[str, str] = {}
    stopping = asyncio.Event()
    watching = asyncio.create_task(watch(box, reader, screen, stopping))
    async with writing(box, authors, through=box.servers_up) as writers:
        for name in (*SERVERS, *WORKERS):
            await writers.more(5)
            assert await box.drain(name) == 0
            await box.start(name)
            await box.repair()
        await writers.more(5)
    assert writers.failed == []
    await judged(writers, reader)
    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        while len(screen) < writers.count():
            await asyncio.sleep(0.05)
    stopping.set()
    closed = await watching
    assert sorted(screen.values()) == sorted(text for texts in writers.acked.values() for text in texts)
    # The control: each server has sent its reader away, and said how.
    assert set(closed) == {1012}


async def watch(box: Box, reader: Person, screen: dict[str, str], stopping: asyncio.Event) -> list[int]:
    """A live client that goes where a server is; gives the codes with which it was sent away."""
    closed: list[int] = []
    after = (await reader.home())["liveCursor"]
    while not stopping.is_set():
        async with box.at(reader, box.servers_up()[0]).live(after) as live:
            receiving = asyncio.create_task(live.event())
            while not stopping.is_set():
                await asyncio.wait({receiving}, timeout=0.2)
                if live.socket.connection.close_code is not None:
                    closed.append(live.socket.connection.close_code)
                    break
                if not receiving.done() or receiving.exception():
                    continue
                event = receiving.result()
                after = event["cursor"]
                if event["__typename"] == "TimelineTweetAdded":
                    screen[event["edge"]["cursor"]] = event["edge"]["node"]["text"]
                receiving = asyncio.create_task(live.event())
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
    return closed

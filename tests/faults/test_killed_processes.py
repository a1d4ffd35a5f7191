"""Processes that are killed lose nothing that was accepted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from datastore.devserver import mongod
from realtime.devserver import valkey
from tests.perch import PATIENCE_SECONDS, Live, Perch, Person
from tests.processes import Cluster, kill


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Servers and processes of this test's own."""
    async with mongod(tmp_path / "mongo") as mongo_url, valkey(tmp_path / "redis") as redis_url:
        cluster = Cluster((mongo_url, redis_url), tmp_path)
        yield cluster
        await cluster.stop()


async def shown(reader: Person, expected: list[str]) -> None:
    """Wait until the reader's kept timeline shows exactly this."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await reader.texts() != expected:
            await asyncio.sleep(0.05)


async def gather(reader: Person, live: Live, count: int) -> list[str]:
    """What a client that follows the documented recipe has been shown, in order, until that is `count` texts.

    A follow whose worker died is handled again, and announced again: the page then stands for what its merge brought.
    """
    texts: list[str] = []
    while len(texts) < count:
        event = await live.event()
        if event["__typename"] == "TimelineResync":
            assert event["reason"] == "FOLLOWS_CHANGED"
            texts = (await reader.texts())[::-1]
        elif event["edge"]["node"]["text"] not in texts[-1:]:
            texts.append(event["edge"]["node"]["text"])
    return texts


async def test_a_worker_killed_between_posts_loses_none_and_doubles_none(cluster: Cluster) -> None:
    await cluster.start("serve")
    worker = await cluster.start("work")
    async with cluster.perch() as perch:
        ann, bob = await perch.persons(2)
        await bob.follow(ann)
        await perch.settle()
        async with bob.live((await bob.home())["liveCursor"]) as live:
            expected: list[str] = []
            for round_ in range(5):
                for number in range(20):
                    expected.append((await ann.post(f"{round_}.{number}"))["text"])
                    if number == 7:
                        await kill(worker)
                        worker = await cluster.start("work")
            assert await gather(bob, live, len(expected)) == expected
        await shown(bob, expected[:-101:-1])
        # Nothing comes twice either: the next event is the next post.
        async with bob.live((await bob.home())["liveCursor"]) as live:
            await ann.post("the end")
            assert await live.added() == "the end"


async def test_without_a_worker_posts_are_accepted_and_delivered_when_one_comes(cluster: Cluster) -> None:
    await cluster.start("serve")
    worker = await cluster.start("work")
    async with cluster.perch() as perch:
        ann, bob = await perch.persons(2)
        await bob.follow(ann)
        await perch.settle()
        assert await bob.texts() == []
        await kill(worker)
        expected = [(await ann.post(f"number {number}"))["text"] for number in range(10)]
        assert await ann.texts() == expected[::-1]
        # The control: nobody has pushed, so the kept timeline is still empty.
        assert await bob.texts() == []
        await cluster.start("work")
        await perch.settle()
        assert await bob.texts() == expected[::-1]


async def test_a_server_killed_right_after_the_insert_has_its_tweet_delivered(cluster: Cluster) -> None:
    server = await cluster.start("serve")
    await cluster.start("work")
    async with cluster.perch() as perch:
        ann, bob = await perch.persons(2)
        await bob.follow(ann)
        await perch.settle()
        await bob.home()
        await ann.post("last words")
        await kill(server)
        await cluster.start("serve")
        async with cluster.perch():
            await shown(bob, ["last words"])


async def test_two_servers_share_readers_and_the_killed_ones_clients_resume_on_the_other(
    cluster: Cluster, tmp_path: Path
) -> None:
    server = await cluster.start("serve")
    await cluster.start("work")
    async with cluster.perch() as perch:
        ann, bob = await perch.persons(2)
        await bob.follow(ann)
        await perch.settle()
        second = await cluster.second_server()
        async with second.perch() as elsewhere:
            async with bob.live((await bob.home())["liveCursor"]) as live:
                await post_at(elsewhere, ann, "posted elsewhere")
                event = await live.event()
                assert event["edge"]["node"]["text"] == "posted elsewhere"
            await kill(server)
            await post_at(elsewhere, ann, "missed")
            async with Person(elsewhere, bob.username, bob.id, bob.token, "", "").live(event["cursor"]) as live:
                assert await live.added() == "missed"
                await post_at(elsewhere, ann, "live")
                assert await live.added() == "live"


async def post_at(perch: Perch, author: Person, text: str) -> None:
    await Person(perch, author.username, author.id, author.token, "", "").post(text)


async def test_a_flush_under_load_leaves_every_page_right(cluster: Cluster) -> None:
    await cluster.start("serve")
    await cluster.start("work")
    async with cluster.perch() as perch:
        ann, *readers = await perch.persons(6)
        for reader in readers:
            await reader.follow(ann)
        await perch.settle()
        for reader in readers:
            await reader.home()
        expected = []
        for number in range(60):
            expected.append((await ann.post(f"number {number}"))["text"])
            if number % 20 == 10:
                await perch.redis.flushall()
            await readers[number % 5].home()
        await perch.settle()
        for reader in readers:
            assert await reader.texts() == expected[::-1]

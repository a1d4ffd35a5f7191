"""The bench of requests, at its smallest: the peers answer as Perch does, and a server that does not is found out."""

import asyncio
import os
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
import uvicorn

import app
from datastore.settings import Settings
from realtime import keys
from tests.bench import fanout, floor, growth, peers, reads, scripts
from tests.bench.fanout_cost import beside_a_pipeline
from tests.bench.load import Failed, measure
from tests.bench.peers import Differs, Field, Server, compare
from tests.bench.workloads import OPERATIONS, WORKLOADS
from tests.bench.world import TINY
from tests.perch import serving


def installed() -> tuple[str, ...]:
    """The Node servers, if their packages are there; `make test` installs them."""
    there = (peers.PEERS / "node_modules").exists()
    if not there:
        warnings.warn("the Node servers are not installed and were not compared", stacklevel=1)
    return peers.NODE if there else ()


async def ended(server: uvicorn.Server, task: asyncio.Task[None]) -> None:
    """Stop a server of this process."""
    server.should_exit = True
    await task


@pytest.fixture(scope="module")
async def field(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Field]:
    """Perch in this process and every peer in its own, over a small world in stores that no other test looks into."""
    folder = tmp_path_factory.mktemp("peers")
    own = settings.model_copy(
        update={"mongo_database": "peers", "redis_url": settings.redis_url.removesuffix("/0") + "/1"}
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.working(own))
        perch = await stack.enter_async_context(serving(own))
        given = peers.given_to_peer(own)
        low = await stack.enter_async_context(floor.server(given))
        stack.push_async_callback(ended, low, asyncio.create_task(low._serve()))
        urls = {"perch": f"{perch.url}/graphql"}
        urls |= {
            name: f"http://127.0.0.1:{given['port']}/{path}"
            for name, path in (("floor", "graphql"), ("rooms", "rooms"))
        }
        started = [Server(name, url, os.getpid()) for name, url in urls.items()]
        started += [await stack.enter_async_context(peers.peer(name, own, folder)) for name in installed()]
        yield await stack.enter_async_context(peers.planted(started, own, folder, TINY))


async def test_every_peer_answers_as_perch_does(field: Field) -> None:
    # One test and not one each: tests of a file may be spread over processes, and each would start all servers.
    for name in WORKLOADS.keys() - {"mix"}:
        servers = [one for one in field.servers if one.name in reads.taking_part(name)]
        # One that looks later would see more of what was posted before.
        await field.settle()
        await compare(servers, WORKLOADS[name], field.world, count=3)


async def test_every_operation_is_measured_and_compared_by_itself() -> None:
    compared = {name for workload in WORKLOADS.values() if len(workload.shares) == 1 for name in workload.shares}
    assert compared == set(OPERATIONS) == set(WORKLOADS["mix"].shares)


async def test_a_round_gives_figures_for_every_server(field: Field) -> None:
    two = replace(field, servers=field.servers[:2])
    figures = await reads.bench(two, "mix", rounds=1, seconds=0.05, warm=0.01)
    assert {(server, connections) for _, server, connections in figures} == {
        (server, connections) for server in ("perch", "floor") for connections in reads.CONNECTIONS
    }
    for sample in figures.values():
        assert sample.answers > 0
        assert sample.per_second > 0
        assert 0 < sample.p50_ms <= sample.p99_ms


async def test_a_tweet_that_a_peer_writes_is_fanned_out_by_the_worker(field: Field) -> None:
    tweets, readers = field.clients.mongo.tweets, set[tuple[str, ...]]()
    for server in field.servers:
        if server.name != "rooms":
            before = {doc["_id"] async for doc in tweets.find({}, {"_id": 1})}
            requests = server.requests(WORKLOADS["postTweet"], field.world, seed=len(readers))
            await measure(server.url, server.pid, requests, connections=1, seconds=0)
            (written,) = [doc async for doc in tweets.find({"_id": {"$nin": list(before)}})]
            readers.add(tuple(sorted(key for key in written if key not in ("_id", "terms", "text", "mentions"))))
            assert sorted(written["terms"]) == sorted(set(written["text"].split()))
            await field.settle()
            kept = [key async for key in field.clients.redis.scan_iter("tl:*")]
            newest = [await field.clients.redis.lindex(key, 0) for key in kept]
            assert str(written["_id"]) in newest, server.name
    assert len(readers) == 1, "the documents have the same fields, whoever wrote them"


@asynccontextmanager
async def saying(body: str) -> AsyncIterator[Server]:
    """A server that says the same to everybody."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Server("liar", f"http://127.0.0.1:{port}/graphql", os.getpid())


async def test_a_server_that_says_something_else_is_not_measured(field: Field) -> None:
    for data in ('"data":{"homeTimeline":{"edges":[]}}', '"data":{"homeTimeline":null}', '"errors":[{"message":"no"}]'):
        async with saying(f"{{{data}}}") as liar:
            with pytest.raises(Differs):
                await compare([field.servers[0], liar], WORKLOADS["homeTimeline"], field.world)


async def test_an_answer_that_is_an_error_ends_a_measurement(field: Field) -> None:
    async with saying('{"data":null,"errors":[{"message":"no"}]}') as liar:
        requests = liar.requests(WORKLOADS["homeTimeline"], field.world, seed=1)
        with pytest.raises(Failed):
            await measure(liar.url, liar.pid, requests, connections=2, seconds=1)


async def test_the_bench_of_fan_out_runs(field: Field) -> None:
    redis = field.clients.redis
    await fanout.watch(redis)
    readers = range(1, 21)
    rows = await beside_a_pipeline(redis, 1, readers, 3)
    kept = (await redis.lrange(keys.timeline(1), 0, 2))[::-1]
    assert kept == await redis.zrange("plain:1", -3, -1) == ["201", "202", "203"], "both write the same entries"
    async with app.services_of(field.settings, field.clients) as services:
        rows += await fanout.to_the_last(field.clients, services, field.world.reader_ids[0], posts=1)
    authors = field.world.reader_ids
    rows += await fanout.burst(field.clients, field.settings, os.getpid(), authors, seconds=0.1)
    assert len([*rows, await fanout.held(redis)]) == 7
    await redis.unlink(*[key for one in readers for key in (keys.timeline(one), f"plain:{one}")])


async def test_the_bench_of_scripts_names_each_and_what_it_was_given() -> None:
    rows = scripts.row("merge", "200 entries", [0.5, 0.7, 9.0])
    assert rows == ("merge: 200 entries", "median 0.70 ms, of 3 runs the worst 9.00 ms")
    assert "over 2 ms" in scripts.row("merge", "200 entries", [2.5])[1]


async def test_the_bench_of_growth_runs(field: Field) -> None:
    pids = dict.fromkeys(("server", "mongodb", "redis"), os.getpid())
    reader, token = field.world.reader_ids[0], field.world.tokens[0]
    async with app.services_of(field.settings, field.clients) as services:
        perch = growth.Perch(field.servers[0].url, field.clients, services, pids, {5: reader}, {5: token}, [])
        (followees,) = await growth.by_followees(perch, seconds=0.1)
        depth = await growth.by_depth(perch, 5, seconds=0.1)
        memory = await growth.memory(perch, 5)
    assert followees["took_ms"] > 0
    assert followees["cold_ms"] > 0
    assert depth[0]["page"] == 1
    assert len(memory) == 3

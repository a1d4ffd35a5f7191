"""Bench: open sockets and live delivery, in a server process of their own.

    python -m tests.bench.live [--sockets 1000] [--posts 200] [--seconds 10] [--readers 10] [--personal]

Every reader has one socket with one homeTimelineEvents subscription. Prints the server's memory for each idle
subscriber, then posts at a rate to authors of `--readers` followers each, and prints the server's CPU time for each
delivered event and how long a tweet takes from its write to the client. `--personal` selects a field of the viewer's.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import psutil
import uvloop
import websockets

import app
from datastore import ids, importer
from datastore.settings import Settings
from resolvers import accounts
from resolvers.context import Context
from tests.bench.fanout import servers
from tests.perch import free_port

EVENT = "... on TimelineTweetAdded { cursor edge { cursor node { id text author { username }%s } } }"
LIVE = "subscription { homeTimelineEvents { __typename %s ... on TimelineResync { cursor reason } } }"


async def client(asked: dict[str, Any]) -> None:
    """Opens a socket for each token, says "ready", and at the end of its input prints what came, and how late."""
    late: list[float] = []
    other = 0

    async def listen(token: str) -> None:
        nonlocal other
        options: Any = {"subprotocols": ["graphql-transport-ws"], "compression": None, "ping_interval": None}
        async with websockets.connect(asked["url"], **options) as socket:
            init = {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
            await socket.send(json.dumps(init))
            await socket.recv()
            begin = {"type": "subscribe", "id": "1", "payload": {"query": asked["query"]}}
            await socket.send(json.dumps(begin))
            opened.release()
            async for text in socket:
                _, found, rest = str(text).partition("sent at ")
                if found:
                    late.append(time.time() - float(rest.partition('"')[0]))
                else:
                    other += 1

    opened = asyncio.Semaphore(0)
    listening = []
    for at in range(0, len(asked["tokens"]), 50):
        part = asked["tokens"][at : at + 50]
        listening += [asyncio.create_task(listen(token)) for token in part]
        for _ in part:
            await opened.acquire()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps({"late": late, "other": other}), flush=True)
    os._exit(0)


async def main(asked: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        async with servers(Path(name)) as settings:
            settings = settings.model_copy(update={"port": free_port()})
            env = os.environ | {
                "MONGO_URL": settings.mongo_url,
                "REDIS_URL": settings.redis_url,
                "PORT": str(settings.port),
                "SECRET_KEY": settings.secret_key.get_secret_value(),
                "RATE_LIMITS": "off",
                "LOG_LEVEL": "WARNING",
            }
            commands = [(sys.executable, "-m", "app", command) for command in ("serve", "work")]
            processes = [await asyncio.create_subprocess_exec(*command, env=env) for command in commands]
            try:
                await measure(asked, settings, psutil.Process(processes[0].pid))
            finally:
                for process in processes:
                    process.terminate()
                    await process.wait()


async def measure(asked: argparse.Namespace, settings: Settings, server: psutil.Process) -> None:
    authors = max(1, asked.sockets // asked.readers)
    graph = settings.data_dir / "follows.csv"
    rows = "".join(f"r{number},a{number % authors}\n" for number in range(asked.sockets))
    graph.write_text("follower,followee\n" + rows)
    async with app.clients(settings) as clients, app.services_of(settings, clients) as services:
        await importer.run(clients.mongo, now_ms=ids.now_ms(), follows=graph, touched=services.timelines.drop)
        users = {doc["username"]: doc["_id"] async for doc in clients.mongo.users.find({}, {"username": 1})}
        context = Context(services, "127.0.0.1")
        readers = [users[f"r{number}"] for number in range(asked.sockets)]
        tokens = [(await accounts.open_session(context, one)).access_token for one in readers]
        before = server.memory_info().rss
        url = f"ws://127.0.0.1:{settings.port}/graphql"
        query = LIVE % (EVENT % (" viewerHasLiked" if asked.personal else ""))
        run = (sys.executable, "-m", "tests.bench.live", "--client")
        child = await asyncio.create_subprocess_exec(*run, stdin=PIPE, stdout=PIPE, limit=1 << 26)
        assert child.stdin
        assert child.stdout
        child.stdin.write(json.dumps({"url": url, "query": query, "tokens": tokens}).encode() + b"\n")
        assert (await child.stdout.readline()).strip() == b"ready"
        await asyncio.sleep(8)  # the sweeps have begun, and what the opening left behind is gone
        each = (server.memory_info().rss - before) / asked.sockets / 1024
        print(f"{asked.sockets:,} idle subscribers: {each:.1f} KiB each, above {before / 2**20:.0f} MiB")
        idle = await busy(server, asyncio.sleep(asked.seconds))
        print(f"idle: {100 * idle / asked.seconds:.1f} % of a core")
        author_ids = [users[f"a{number}"] for number in range(authors)]
        used = await busy(server, post(services, author_ids, asked.posts, asked.seconds))
        child.stdin.close()
        told = json.loads(await child.stdout.readline())
        report(asked, told, used, idle)


async def busy(server: psutil.Process, meanwhile: Any) -> float:
    """The CPU seconds that the server spends meanwhile."""
    before = sum(server.cpu_times()[:2])
    await meanwhile
    return sum(server.cpu_times()[:2]) - before


async def post(services: Any, author_ids: list[int], rate: int, seconds: int) -> None:
    """So many tweets a second, by the authors in turn."""
    begun, writes = time.perf_counter(), []
    for number in range(rate * seconds):
        await asyncio.sleep(max(0, begun + number / rate - time.perf_counter()))
        write = services.tweets.add(author_ids[number % len(author_ids)], f"sent at {time.time()}", ids.now_ms())
        writes.append(asyncio.create_task(write))
    await asyncio.gather(*writes)
    await asyncio.sleep(2)


def report(asked: argparse.Namespace, told: dict[str, Any], used: float, idle: float) -> None:
    late = sorted(told["late"])
    expected = asked.posts * asked.seconds * asked.readers
    print(f"{len(late):,} of {expected:,} events delivered, {told['other']} other messages")
    own = used - idle * (asked.seconds + 2) / asked.seconds
    print(f"server: {1e6 * own / len(late):.0f} us of CPU for each, the idle rest taken off")
    p99 = late[int(0.99 * len(late))]
    print(f"write to client: median {1000 * statistics.median(late):.0f} ms, p99 {1000 * p99:.0f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--posts", type=int, default=200)
    parser.add_argument("--readers", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--personal", action="store_true")
    parser.add_argument("--client", action="store_true", help="what the bench starts by itself")
    arguments = parser.parse_args()
    uvloop.run(client(json.loads(sys.stdin.readline())) if arguments.client else main(arguments))

"""Bench: live delivery over websockets, beside a Node server that pushes the same events.

    python -m tests.bench.live [--sockets 1000,5000,10000] [--storm 5000]

Prints, for Perch and for Node with graphql-ws: KB of memory for each idle subscriber, CPU of the server process for
each delivered event; for Perch also the time from a mutation to the socket, and how long the readers of a killed server
need until they have caught up on another. The servers are processes of their own, the client is one more.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvloop

import app
from datastore import ids, importer
from datastore.settings import Settings
from resolvers import accounts
from resolvers.context import Context
from tests.bench.fanout import servers
from tests.perch import free_port
from tests.processes import ROOT, Cluster, kill

PEERS = ROOT / "tests" / "node"
FOLLOWERS = 10
POSTS_A_SECOND, SECONDS = 200, 10
OPENED_AT_ONCE = 100
TOKEN_SECONDS = 7200
TICKS = os.sysconf("SC_CLK_TCK")


class Client:
    """The process that holds the sockets."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def tell(self, command: str, **given: Any) -> dict[str, Any]:
        """Run a command there, and give its answer."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"command": command} | given).encode() + b"\n")
        await self._process.stdin.drain()
        answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return answer


@asynccontextmanager
async def node(script: str, *arguments: str) -> AsyncIterator[Process]:
    """A Node process with pipes, ended with the body."""
    command = ("node", str(PEERS / script), *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=2**26)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def client() -> AsyncIterator[Client]:
    """A client of its own for each measurement."""
    async with node("live_client.mjs") as process:
        yield Client(process)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_kb(pid: int) -> int:
    """Resident memory of a process."""
    (line,) = (row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmRSS"))
    return int(line.split()[1])


async def steady_rss_kb(pid: int) -> int:
    """Once it has not grown for a second."""
    before = -1
    while (now := rss_kb(pid)) > before:
        before = now
        await asyncio.sleep(1)
    return now


# ---------------------------------------------------------------- the world


class World:
    """Readers and authors, ten readers for each author, every one of them logged in."""

    def __init__(self, clients: app.Clients, services: Any) -> None:
        self.clients = clients
        self.services = services
        self.readers: list[str] = []
        self.authors: list[str] = []
        self.author_ids: list[int] = []
        self.reader_ids: list[int] = []
        self.numbers = 0

    async def plant(self, folder: Path, readers: int) -> None:
        """By import; reader 10 a to 10 a + 9 follow author a."""
        path = folder / "live.csv"
        rows = [f"r{number},a{number // FOLLOWERS}\n" for number in range(readers)]
        path.write_text("follower,followee\n" + "".join(rows))
        await importer.run(self.clients.mongo, now_ms=ids.now_ms(), follows=path, touched=self.services.timelines.drop)
        self.reader_ids, self.readers = await self._log_in("r", readers)
        self.author_ids, self.authors = await self._log_in("a", readers // FOLLOWERS)

    async def _log_in(self, letter: str, count: int) -> tuple[list[int], list[str]]:
        context = Context(self.services, "127.0.0.1", "bench")
        people = {
            doc["name_key"]: doc["_id"]
            async for doc in self.clients.mongo.users.find(
                {"name_key": {"$regex": f"^{letter}[0-9]+$"}}, {"name_key": 1}
            )
        }
        ordered = [people[f"{letter}{number}"] for number in range(count)]
        tokens: list[str] = []
        for at in range(0, count, 100):
            opened = await asyncio.gather(*(accounts.open_session(context, one) for one in ordered[at : at + 100]))
            tokens += [session.access_token for session in opened]
        return ordered, tokens

    async def write(self, author: int, number: int) -> None:
        """One tweet, past the API: only the delivery costs the server."""
        now_ms = ids.now_ms()
        await self.services.tweets.add(self.author_ids[author], f"{now_ms} {author} {number}", now_ms)

    async def write_all(self, authors: int, number: int) -> None:
        """One tweet of each of the first authors."""
        await asyncio.gather(*(self.write(author, number) for author in range(authors)))


async def paced(authors: int, write: Callable[[int, int], Awaitable[None]]) -> None:
    """POSTS_A_SECOND writes at an even pace, the authors in turn; one does not wait for the other."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with asyncio.TaskGroup() as tasks:
        for number in range(SECONDS * POSTS_A_SECOND):
            await asyncio.sleep(max(0.0, start + number / POSTS_A_SECOND - loop.time()))
            tasks.create_task(_one(write, number % authors, 1 + number // authors))


async def _one(write: Callable[[int, int], Awaitable[None]], author: int, number: int) -> None:
    await write(author, number)


# ---------------------------------------------------------------- the measurements


async def idle(name: str, pid: int, url: str, tokens: Sequence[str], steps: Sequence[int]) -> None:
    """KB for each idle subscriber."""
    async with client() as sockets:
        await sockets.tell("open", url=url, tokens=tokens[:10], at_once=10)
        base, opened = await steady_rss_kb(pid), 10
        for step in steps:
            await sockets.tell("open", url=url, tokens=tokens[opened:step], at_once=OPENED_AT_ONCE)
            now = await steady_rss_kb(pid)
            print(f"{name}: {step:6,} sockets  {(now - base) / (step - 10):5.1f} KB each above the base", flush=True)
            opened = step


async def delivery(
    name: str, pid: int, url: str, tokens: Sequence[str], write: Callable[[int, int], Awaitable[None]]
) -> None:
    """CPU of the server process for each delivered event, and how long it takes from the write."""
    authors = len(tokens) // FOLLOWERS
    async with client() as sockets:
        await sockets.tell("open", url=url, tokens=tokens, at_once=OPENED_AT_ONCE)
        await asyncio.sleep(2)
        await asyncio.gather(*(write(author, 0) for author in range(authors)))
        await sockets.tell("wait", events=len(tokens), ms=10_000)
        await sockets.tell("forget")
        began, wall = cpu_seconds(pid), time.perf_counter()
        await paced(authors, write)
        told = await sockets.tell("wait", events=SECONDS * POSTS_A_SECOND * FOLLOWERS, ms=10_000)
        used, share = cpu_seconds(pid) - began, (cpu_seconds(pid) - began) / (time.perf_counter() - wall)
        each = 1e6 * used / max(told["events"], 1)
        print(
            f"{name}: {told['events']:,} events to {len(tokens):,} sockets, {each:.0f} us of CPU each"
            f" ({share:.0%} of a core), {arrived(told, SECONDS * POSTS_A_SECOND * FOLLOWERS)}",
            flush=True,
        )


def arrived(told: dict[str, Any], expected: int) -> str:
    """What the client saw, in words. Mutations of one author that run side by side have no order to keep."""
    return (
        f"p50 {told['p50'] or 0:.0f} ms, p99 {told['p99'] or 0:.0f} ms, {expected - told['events']} missing,"
        f" {told['repeated']} repeated, {told['disordered']} out of order, {told['resyncs']} resyncs"
    )


async def mutations(pid: int, url: str, http_url: str, world: World, readers: int) -> None:
    """From the mutation to the socket."""
    authors = readers // FOLLOWERS
    async with client() as sockets, client() as poster:
        await sockets.tell("open", url=url, tokens=world.readers[:readers], at_once=OPENED_AT_ONCE)
        await asyncio.sleep(2)
        posting = {"url": http_url, "tokens": world.authors[:authors], "per_second": POSTS_A_SECOND, "from": 10**6}
        await poster.tell("post", **posting | {"seconds": 2})
        await asyncio.sleep(1)
        await sockets.tell("forget")
        began = cpu_seconds(pid)
        posted = await poster.tell("post", **posting | {"seconds": SECONDS, "from": 2 * 10**6})
        told = await sockets.tell("wait", events=posted["accepted"] * FOLLOWERS, ms=10_000)
        print(
            f"Perch: {posted['accepted']:,} of {posted['posted']:,} mutations at {POSTS_A_SECOND} a second (p99"
            f" {posted['p99']:.0f} ms), to {readers:,} sockets: {arrived(told, posted['accepted'] * FOLLOWERS)};"
            f" server {100 * (cpu_seconds(pid) - began) / SECONDS:.0f} % of a core",
            flush=True,
        )


async def storm(first: Process, url: str, other_url: str, world: World, readers: int) -> None:
    """SIGKILL of a server with all its readers, while authors go on writing."""
    authors = readers // FOLLOWERS
    async with client() as sockets:
        await sockets.tell("open", url=url, tokens=world.readers[:readers], at_once=OPENED_AT_ONCE)
        await asyncio.sleep(2)
        # Everybody has a cursor.
        await world.write_all(authors, 3 * 10**6)
        await sockets.tell("wait", events=readers, ms=30_000)
        await sockets.tell("forget")
        await sockets.tell("follow", url=other_url, jitter_ms=1000)
        await kill(first)
        began = time.time() * 1000
        rounds = 3
        for number in range(1, rounds + 1):
            await world.write_all(authors, 3 * 10**6 + number)
            await asyncio.sleep(0.5)
        told = await sockets.tell("wait", events=rounds * readers, ms=60_000)
        print(
            f"Perch: {readers:,} sockets of a killed server caught up on another after"
            f" {(told['last'] - began) / 1000:.1f} s, of {rounds * readers:,} events {arrived(told, rounds * readers)}",
            flush=True,
        )


async def ready(url: str) -> None:
    """Wait until it answers."""
    async with httpx.AsyncClient() as http:
        while True:
            try:
                await http.get(url)
                return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def main(steps: list[int], storm_readers: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with servers(folder) as settings, AsyncExitStack() as stack:
            await measured(settings, folder, steps, storm_readers, stack)


async def measured(
    settings: Settings, folder: Path, steps: list[int], storm_readers: int, stack: AsyncExitStack
) -> None:
    """Every figure, in one run."""
    waits = ("LEASE_SECONDS", "SWEEP_SECONDS", "PURGE_LOOK_SECONDS", "PURGE_AGAIN_SECONDS")
    changed = dict.fromkeys(waits, "") | {"LOG_LEVEL": "WARNING", "ACCESS_TOKEN_SECONDS": str(TOKEN_SECONDS)}
    cluster = Cluster((settings.mongo_url, settings.redis_url), folder, **changed)
    stack.push_async_callback(cluster.stop)
    settings = cluster.settings(access_token_seconds=TOKEN_SECONDS)
    clients = await stack.enter_async_context(app.clients(settings))
    services = await stack.enter_async_context(app.services_of(settings, clients))
    await cluster.start("work")
    server = await cluster.start("serve")
    other = await cluster.second_server()
    http = f"http://127.0.0.1:{cluster.port}"
    await ready(f"{http}/healthz")
    await ready(f"http://127.0.0.1:{other.port}/healthz")
    world = World(clients, services)
    await world.plant(folder, max(*steps, storm_readers, 1000))
    port = free_port()
    peer = await stack.enter_async_context(node("live_server.mjs", str(port), settings.redis_url))
    await ready(f"http://127.0.0.1:{port}/")
    url, peer_url = f"ws://127.0.0.1:{cluster.port}/graphql", f"ws://127.0.0.1:{port}/graphql"
    names = [f"r{number}" for number in range(len(world.readers))]

    async def publish(author: int, number: int) -> None:
        node_ = {"id": "x", "text": f"{ids.now_ms()} {author} {number}", "author": {"id": "y", "username": "a"}}
        event = json.dumps({"cursor": "c", "edge": {"cursor": "c", "source": "FOLLOWING", "node": node_}})
        async with clients.redis.pipeline(transaction=False) as pipe:
            for reader in range(FOLLOWERS * author, FOLLOWERS * (author + 1)):
                pipe.publish(f"home:r{reader}", event)
            await pipe.execute()

    await idle("Perch", server.pid, url, world.readers, steps)
    await idle("Node ", peer.pid, peer_url, names, steps)
    await delivery("Perch", server.pid, url, world.readers[:1000], world.write)
    await delivery("Node ", peer.pid, peer_url, names[:1000], publish)
    await mutations(server.pid, url, f"{http}/graphql", world, 1000)
    await storm(server, url, f"ws://127.0.0.1:{other.port}/graphql", world, storm_readers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", default="1000,5000,10000")
    parser.add_argument("--storm", type=int, default=5000)
    arguments = parser.parse_args()
    uvloop.run(main([int(step) for step in arguments.sockets.split(",")], arguments.storm))

"""Bench: live delivery over websockets, beside a Node server that pushes the same events.

    python -m tests.bench.live [--sockets 1000,5000,10000] [--storm 5000] [--rows idle,delivery,mutations,storm]

Prints, for Perch and for Node with graphql-ws: KB of memory for each idle subscriber, CPU of the server process for
each delivered event, where it reaches 10, 100 or 1,000 readers; for Perch also the time from a mutation to the socket,
and how long the readers of a killed server need until they have caught up on another. The servers are processes of
their own, the client is one more.
"""

import argparse
import asyncio
import json
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvloop

import app
from datastore import ids, importer
from datastore.settings import Settings
from resolvers import accounts
from resolvers.context import Context
from tests.bench import stages
from tests.bench.machine import cpu_seconds, family, servers
from tests.forked import Running
from tests.perch import free_port
from tests.processes import ROOT, Cluster, kill

PEERS = ROOT / "tests" / "node"
FOLLOWERS = 10
# Readers of one author, by the first letter of the author's name, and how many tweets a second they all write.
FOLLOWERS_OF = {"a": FOLLOWERS, "b": 100, "c": 1000}
TWEETS_A_SECOND = {"a": 200, "b": 40, "c": 10}
POSTS_A_SECOND, SECONDS = 200, 10
OPENED_AT_ONCE = 100
TOKEN_SECONDS = 7200


@dataclass(frozen=True, slots=True)
class Flags:
    """What to measure, and with how many sockets."""

    rows: Collection[str]
    sockets: Sequence[int]
    readers: int
    letters: str
    storm: int


class Client:
    """The process that holds the sockets."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

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
    """Readers and authors; those with ten readers, and the readers, are logged in."""

    def __init__(self, clients: app.Clients, services: Any) -> None:
        self.clients = clients
        self.services = services
        self.readers: list[str] = []
        self.authors: list[str] = []
        self.author_ids: dict[str, list[int]] = {}

    async def plant(self, folder: Path, readers: int) -> None:
        """By import; reader r follows, of each letter, the author whose readers r is among."""
        path = folder / "live.csv"
        rows = [
            f"r{number},{letter}{number // followers}\n"
            for number in range(readers)
            for letter, followers in FOLLOWERS_OF.items()
        ]
        path.write_text("follower,followee\n" + "".join(rows))
        await importer.run(self.clients.mongo, now_ms=ids.now_ms(), follows=path, touched=self.services.timelines.drop)
        for letter in FOLLOWERS_OF:
            self.author_ids[letter] = await self._people(letter)
        self.readers = await self._log_in(await self._people("r"))
        self.authors = await self._log_in(self.author_ids["a"])

    async def _people(self, letter: str) -> list[int]:
        named = {"name_key": {"$regex": f"^{letter}[0-9]+$"}}
        found = {int(doc["name_key"][1:]): doc["_id"] async for doc in self.clients.mongo.users.find(named)}
        return [found[number] for number in sorted(found)]

    async def _log_in(self, people: list[int]) -> list[str]:
        context = Context(self.services, "127.0.0.1", "bench")
        tokens: list[str] = []
        for at in range(0, len(people), 100):
            opened = await asyncio.gather(*(accounts.open_session(context, one) for one in people[at : at + 100]))
            tokens += [session.access_token for session in opened]
        return tokens

    async def write(self, letter: str, author: int, number: int) -> None:
        """One tweet, past the API: only the delivery costs the server."""
        now_ms, author_id = ids.now_ms(), self.author_ids[letter][author]
        await self.services.tweets.add(author_id, f"{now_ms} {ord(letter)}{author} {number}", now_ms)

    async def write_all(self, authors: int, number: int) -> None:
        """One tweet of each of the first authors with ten readers."""
        await asyncio.gather(*(self.write("a", author, number) for author in range(authors)))


# (letter, number of the author, number of the tweet)
Write = Callable[[str, int, int], Coroutine[Any, Any, None]]


async def paced(letter: str, authors: int, write: Write) -> None:
    """Writes at an even pace, the authors in turn; one does not wait for the other, but for their own before it: what
    one author writes side by side has no order that could be kept."""
    loop, a_second = asyncio.get_running_loop(), TWEETS_A_SECOND[letter]
    start, turns = loop.time(), [asyncio.Lock() for _ in range(authors)]

    async def in_turn(author: int, number: int) -> None:
        async with turns[author]:
            await write(letter, author, number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(SECONDS * a_second):
            await asyncio.sleep(max(0.0, start + number / a_second - loop.time()))
            tasks.create_task(in_turn(number % authors, 1 + number // authors))


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


async def delivery(name: str, pid: int, url: str, tokens: Sequence[str], letters: str, write: Write) -> None:
    """CPU of the server process for each delivered event, and how long it takes from the write; for each kind of
    author."""
    async with client() as sockets:
        await sockets.tell("open", url=url, tokens=tokens, at_once=OPENED_AT_ONCE)
        await asyncio.sleep(2)
        for letter in letters:
            authors, expected = len(tokens) // FOLLOWERS_OF[letter], SECONDS * TWEETS_A_SECOND[letter]
            await asyncio.gather(*(write(letter, author, 0) for author in range(authors)))
            await sockets.tell("wait", events=len(tokens), ms=10_000)
            await sockets.tell("forget")
            began, wall = cpu_seconds(pid), time.perf_counter()
            await paced(letter, authors, write)
            told = await sockets.tell("wait", events=expected * FOLLOWERS_OF[letter], ms=10_000)
            used, share = cpu_seconds(pid) - began, (cpu_seconds(pid) - began) / (time.perf_counter() - wall)
            each = 1e6 * used / max(told["events"], 1)
            await sockets.tell("forget")
            print(
                f"{name}: {FOLLOWERS_OF[letter]:5,} readers an event, {told['events']:,} to {len(tokens):,} sockets,"
                f" {each:.0f} us of CPU each ({share:.0%} of a core), {arrived(told, expected * FOLLOWERS_OF[letter])}",
                flush=True,
            )


def arrived(told: dict[str, Any], expected: int) -> str:
    """What the client saw, in words. The order is that of each author."""
    return (
        f"p50 {told['p50'] or 0:.0f} ms, p99 {told['p99'] or 0:.0f} ms, {expected - told['events']} missing,"
        f" {told['repeated']} repeated, {told['disordered']} out of order, {told['resyncs']} resyncs"
    )


@contextmanager
def used(names: Mapping[int, str]) -> Iterator[dict[str, float]]:
    """The seconds of CPU that each process uses meanwhile that this bench has started; known at the end, under these
    names or their own."""
    found: dict[str, float] = {}
    before = {pid: cpu_seconds(pid) for pid in family()}
    yield found
    for pid, name in family().items():
        if pid in before:
            found[names.get(pid, name)] = cpu_seconds(pid) - before[pid]


async def mutations(
    processes: Mapping[str, int], url: str, http_url: str, world: World, readers: int, told_by: Sequence[str]
) -> None:
    """From the mutation to the socket, and where the time goes by the processes that tell."""
    authors = readers // FOLLOWERS
    async with client() as sockets, client() as poster:
        await sockets.tell("open", url=url, tokens=world.readers[:readers], at_once=OPENED_AT_ONCE)
        await asyncio.sleep(2)
        posting = {"url": http_url, "tokens": world.authors[:authors], "per_second": POSTS_A_SECOND, "from": 10**6}
        await poster.tell("post", **posting | {"seconds": 2})
        await asyncio.sleep(1)
        await sockets.tell("forget")
        before = await stages.ages(told_by)
        named = {pid: name for name, pid in processes.items()} | {sockets.pid: "sockets' client", poster.pid: "poster"}
        with used(named) as taken:
            posted = await poster.tell("post", **posting | {"seconds": SECONDS, "from": 2 * 10**6})
            told = await sockets.tell("wait", events=posted["accepted"] * FOLLOWERS, ms=10_000)
        each = {name: 1000 * seconds / posted["accepted"] for name, seconds in taken.items()}
        cpu = ", ".join(f"{name} {each[name]:.2f} ms" for name in sorted(each, key=lambda name: -each[name]))
        print(
            f"Perch: {posted['accepted']:,} of {posted['posted']:,} mutations at {POSTS_A_SECOND} a second (p99"
            f" {posted['p99']:.0f} ms), to {readers:,} sockets: {arrived(told, posted['accepted'] * FOLLOWERS)};"
            f" CPU for each: {cpu};"
            f" from the id on: {stages.told(before, await stages.ages(told_by))}",
            flush=True,
        )


async def storm(first: Running, url: str, other_url: str, world: World, readers: int) -> None:
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


async def main(flags: Flags) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with servers(folder) as settings, AsyncExitStack() as stack:
            await measured(settings, folder, flags, stack)


async def measured(settings: Settings, folder: Path, flags: Flags, stack: AsyncExitStack) -> None:
    """Every figure that was asked for, in one run."""
    waits = ("LEASE_SECONDS", "SWEEP_SECONDS", "PURGE_LOOK_SECONDS", "PURGE_AGAIN_SECONDS")
    changed = dict.fromkeys(waits, "") | {"LOG_LEVEL": "WARNING", "ACCESS_TOKEN_SECONDS": str(TOKEN_SECONDS)}
    cluster = Cluster((settings.mongo_url, settings.redis_url), folder, **changed)
    stack.push_async_callback(cluster.stop)
    settings = cluster.settings(access_token_seconds=TOKEN_SECONDS)
    clients = await stack.enter_async_context(app.clients(settings))
    services = await stack.enter_async_context(app.services_of(settings, clients))
    work_port = free_port()
    worker = await cluster.start("work", WORK_PORT=str(work_port))
    server = await cluster.start("serve")
    other = await cluster.second_server()
    http = f"http://127.0.0.1:{cluster.port}"
    await ready(f"{http}/healthz")
    await ready(f"http://127.0.0.1:{other.port}/healthz")
    world = World(clients, services)
    await world.plant(folder, max(*flags.sockets, flags.storm, flags.readers))
    port = free_port()
    peer = await stack.enter_async_context(node("live_server.mjs", str(port), settings.redis_url))
    await ready(f"http://127.0.0.1:{port}/")
    url, peer_url = f"ws://127.0.0.1:{cluster.port}/graphql", f"ws://127.0.0.1:{port}/graphql"
    names = [f"r{number}" for number in range(len(world.readers))]

    publishers = asyncio.Semaphore(32)  # the pool has a hundred connections

    async def publish(letter: str, author: int, number: int) -> None:
        text, followers = f"{ids.now_ms()} {ord(letter)}{author} {number}", FOLLOWERS_OF[letter]
        node_ = {"id": "x", "text": text, "author": {"id": "y", "username": "a"}}
        event = json.dumps({"cursor": "c", "edge": {"cursor": "c", "source": "FOLLOWING", "node": node_}})
        async with publishers, clients.live.pipeline(transaction=False) as pipe:
            for reader in range(followers * author, followers * (author + 1)):
                pipe.publish(f"home:r{reader}", event)
            await pipe.execute()

    if "idle" in flags.rows:
        await idle("Perch", server.pid, url, world.readers, flags.sockets)
        await idle("Node ", peer.pid, peer_url, names, flags.sockets)
    if "delivery" in flags.rows:
        await delivery("Perch", server.pid, url, world.readers[: flags.readers], flags.letters, world.write)
        await delivery("Node ", peer.pid, peer_url, names[: flags.readers], flags.letters, publish)
    if "mutations" in flags.rows:
        told_by = (http, f"http://127.0.0.1:{work_port}")
        processes = {"server": server.pid, "worker": worker.pid, "Node server": peer.pid}
        await mutations(processes, url, f"{http}/graphql", world, flags.readers, told_by)
    if "storm" in flags.rows:
        await storm(server, url, f"ws://127.0.0.1:{other.port}/graphql", world, flags.storm)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="idle,delivery,mutations,storm", help="which measurements")
    parser.add_argument("--sockets", default="1000,5000,10000", help="steps of the idle row")
    parser.add_argument("--readers", type=int, default=1000, help="sockets of delivery and mutations")
    parser.add_argument("--letters", default="abc", help="10, 100 and 1,000 readers an event")
    parser.add_argument("--storm", type=int, default=5000, help="sockets of the killed server")
    given = parser.parse_args()
    steps = [int(step) for step in given.sockets.split(",")]
    uvloop.run(main(Flags(given.rows.split(","), steps, given.readers, given.letters, given.storm)))

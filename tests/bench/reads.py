"""Bench: requests to Perch beside other servers that answer the same from the same MongoDB and Redis.

    python -m tests.bench.reads [--only homeTimeline] [--peers perch,floor] [--rounds 4] [--seconds 2] [--fresh]

The servers are processes of their own and take turns, A B C A B C, at concurrency 1 and 32; before any timing their
answers are compared. Prints the medians over the rounds. The world is kept in .data/bench: --fresh plants it again.
"""

import argparse
import asyncio
import itertools
import shutil
import statistics
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import httpx
import orjson
import uvloop

import app
from datastore.settings import Settings
from tests.bench import world as worlds
from tests.bench.fanout import servers
from tests.bench.load import Request, Sample, measure, post
from tests.bench.workloads import READERS, WORKLOADS, Workload
from tests.bench.world import Size, World
from tests.perch import free_port
from tests.processes import ROOT, Cluster

KEPT = ROOT / ".data" / "bench"
TOKEN_SECONDS = 24 * 3600
CONNECTIONS = (1, 32)
# So many answers of each workload are compared.
COMPARED = 25
WARM_SECONDS = 1.0
SETTINGS = {
    "PROFILE": "production",
    "LOG_LEVEL": "WARNING",
    "ACCESS_TOKEN_SECONDS": str(TOKEN_SECONDS),
    "MONGO_DATABASE": "bench",
} | dict.fromkeys(("LEASE_SECONDS", "SWEEP_SECONDS", "PURGE_LOOK_SECONDS", "PURGE_AGAIN_SECONDS"), "")


@dataclass(frozen=True, slots=True)
class Server:
    """One that is measured."""

    name: str
    url: str
    pid: int


class Differs(Exception):
    """Two servers do not answer the same."""


@asynccontextmanager
async def running(names: Sequence[str], folder: Path, size: Size) -> AsyncIterator[tuple[list[Server], World]]:
    """The servers of these names, over one world."""
    async with servers(folder) as settings, AsyncExitStack() as stack:
        cluster = Cluster((settings.mongo_url, settings.redis_url), folder, **SETTINGS)
        stack.push_async_callback(cluster.stop)
        settings = cluster.settings(access_token_seconds=TOKEN_SECONDS)
        clients = await stack.enter_async_context(app.clients(settings))
        services = await stack.enter_async_context(app.services_of(settings, clients))
        world = await worlds.plant(clients, services, folder, size)
        for reader in world.reader_ids[:READERS]:
            await services.timelines.page(reader, 1)
        await cluster.start("work")
        started = [await _start(name, cluster, settings) for name in names]
        for one in started:
            await _answering(one)
        yield started, world


async def _start(name: str, cluster: Cluster, settings: Settings) -> Server:
    if name == "perch":
        process = await cluster.start("serve")
        return Server(name, f"http://127.0.0.1:{cluster.port}/graphql", process.pid)
    port = free_port()
    process = await _peer(name, port, cluster, settings)
    return Server(name, f"http://127.0.0.1:{port}/graphql", process.pid)


async def _peer(name: str, port: int, cluster: Cluster, settings: Settings) -> Process:
    given = (settings.mongo_url, settings.redis_url, settings.mongo_database, settings.secret_key.get_secret_value())
    command = [sys.executable, "-m", "tests.bench.floor", "127.0.0.1", str(port), *given]
    with (cluster.folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, *(["rooms"] if name == "rooms" else []), cwd=ROOT, stdout=log, stderr=log
        )
    cluster.started.append(process)
    return process


async def _answering(server: Server) -> None:
    async with asyncio.timeout(30), httpx.AsyncClient() as http:
        while True:
            try:
                await http.get(server.url)
                return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def compare(running: Sequence[Server], workload: Workload, world: World) -> None:
    """Raises Differs unless all servers give the same data, some data at least, for the same requests."""
    async with httpx.AsyncClient() as http:
        for token, body in itertools.islice(workload.asked(world, seed=1), COMPARED):
            answers = [await _data(http, server, token, body) for server in running]
            for server, answer in zip(running, answers, strict=True):
                if answer != answers[0]:
                    told = f"{server.name} says\n{answer!r}\n{running[0].name} says\n{answers[0]!r}"
                    raise Differs(f"{workload.name}: {told}")


async def _data(http: httpx.AsyncClient, server: Server, token: str, body: bytes) -> bytes:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    answer = orjson.loads((await http.post(server.url, content=body, headers=headers)).content)
    if not answer.get("data") or answer.get("errors"):
        raise Differs(f"{server.name} fails: {answer}")
    # The order of fields is part of the answer; extensions are not.
    return orjson.dumps(answer["data"])


def requests(server: Server, workload: Workload, world: World, seed: int) -> Iterator[Request]:
    """Without end, made before they are needed: many of them are sent again and again."""
    made = [post(server.url, body, token) for token, body in itertools.islice(workload.asked(world, seed), 2000)]
    return itertools.cycle(made)


async def main(names: Sequence[str], chosen: Sequence[str], rounds: int, seconds: float, fresh: bool) -> None:
    if fresh:
        shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    async with running(names, KEPT, Size()) as (started, world):
        for workload in (WORKLOADS[name] for name in chosen):
            await compare(started, workload, world)
            samples: dict[tuple[str, int], list[Sample]] = {}
            for server in started:
                await measure(server.url, server.pid, requests(server, workload, world, 0), 8, WARM_SECONDS)
            for round_ in range(rounds):
                for connections, server in itertools.product(CONNECTIONS, started):
                    asked = requests(server, workload, world, round_)
                    sample = await measure(server.url, server.pid, asked, connections, seconds)
                    samples.setdefault((server.name, connections), []).append(sample)
            show(workload.name, {key: median(found) for key, found in samples.items()})


def median(samples: Sequence[Sample]) -> Sample:
    """Field by field."""
    middle = [statistics.median(column) for column in zip(*map(astuple, samples), strict=True)]
    return Sample(**{field.name: value for field, value in zip(fields(Sample), middle, strict=True)})


def show(name: str, found: dict[tuple[str, int], Sample]) -> None:
    print(f"{name:16} conns   CPU ms  answers/s   p50 ms   p99 ms   RSS MB  client CPU ms")
    for (server, connections), one in sorted(found.items(), key=lambda item: item[0][1]):
        print(
            f"  {server:14} {connections:5} {one.cpu_ms:8.3f} {one.per_second:10.0f} {one.p50_ms:8.2f}"
            f" {one.p99_ms:8.2f} {one.rss_mb:8.0f} {one.client_cpu_ms:14.3f}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(WORKLOADS))
    parser.add_argument("--peers", default="perch,floor,rooms")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--fresh", action="store_true")
    arguments = parser.parse_args()
    uvloop.run(
        main(
            arguments.peers.split(","),
            arguments.only.split(","),
            arguments.rounds,
            arguments.seconds,
            arguments.fresh,
        )
    )

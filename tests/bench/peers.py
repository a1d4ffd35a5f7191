"""The servers that are measured: Perch and its peers as processes over one world, and whether they answer the same."""

import asyncio
import itertools
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

import app
from datastore import popularity
from datastore.changes import Changes
from datastore.records import TopWindow
from datastore.settings import Settings
from realtime.pipeline import settle
from tests.bench import world as worlds
from tests.bench.load import Request, post
from tests.bench.machine import servers
from tests.bench.workloads import READERS, Workload
from tests.bench.world import Size, World
from tests.perch import free_port
from tests.processes import ROOT, Cluster

PEERS = ROOT / "tests" / "bench" / "peers"
NODE = ("yoga", "apollo", "mercurius")
# Perch itself, and what it is started with beside the rest.
PERCH: dict[str, dict[str, str]] = {"perch": {}, "perch-pymongo": {"MONGO_DRIVER": "pymongo"}}
EVERY = (*PERCH, "floor", *NODE)
# A log-in outlives any run.
TOKEN_SECONDS = 24 * 3600
# So many answers of each workload are compared.
COMPARED = 25
START_SECONDS = 60
# The waits of tests are too short for anything that is measured.
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

    def requests(self, workload: Workload, world: World, seed: int) -> Iterator[Request]:
        """Without end, the same for the same seed."""
        return (post(self.url, body, token) for token, body in workload.asked(world, seed))


class Differs(Exception):
    """Two servers do not answer the same."""


@dataclass(frozen=True, slots=True)
class Field:
    """The servers, over one world."""

    servers: list[Server]
    world: World
    clients: app.Clients
    settings: Settings

    async def settle(self) -> None:
        """Wait until everything written so far has followed."""
        await settle(Changes(self.clients.mongo), self.clients.redis, self.settings.partitions)


@asynccontextmanager
async def running(names: Sequence[str], folder: Path, size: Size) -> AsyncIterator[Field]:
    """The servers of these names, and a worker, over one world under `folder`, which is planted if it is not there."""
    async with servers(folder) as settings, AsyncExitStack() as stack:
        cluster = Cluster((settings.mongo_url, settings.redis_url), folder, **SETTINGS)
        stack.push_async_callback(cluster.stop)
        settings = cluster.settings(access_token_seconds=TOKEN_SECONDS)
        started = []
        for name in names:
            if name in PERCH:
                place = cluster.beside()
                process = await place.start("serve", **PERCH[name])
                started.append(Server(name, f"http://127.0.0.1:{place.port}/graphql", process.pid))
        # Before there is anything to read: what an import writes passes the relay by as it comes.
        await cluster.start("work")
        peers = [await stack.enter_async_context(peer(name, settings, folder)) for name in names if name not in PERCH]
        yield await stack.enter_async_context(planted([*started, *peers], settings, folder, size))


@asynccontextmanager
async def planted(started: list[Server], settings: Settings, folder: Path, size: Size) -> AsyncIterator[Field]:
    """The field of these servers, with everything kept that is read from Redis; a worker must be running."""
    async with app.clients(settings) as clients, app.services_of(settings, clients) as services:
        world = await worlds.plant(clients, services, folder, size)
        field = Field(started, world, clients, settings)
        await asyncio.gather(*map(_answering, started))
        await field.settle()
        for reader in world.reader_ids[:READERS]:
            await services.timelines.page(reader, 1)
        await services.top_tweets.rebuild(TopWindow.DAY)
        yield field


@asynccontextmanager
async def peer(name: str, settings: Settings, folder: Path) -> AsyncIterator[Server]:
    """A peer as a process over the stores of these settings; its output goes to a file under `folder`."""
    given = given_to_peer(settings)
    env = os.environ | {"PEER": json.dumps(given), "NODE_ENV": "production"}
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*_command(name), cwd=ROOT, env=env, stdout=log, stderr=log)
    try:
        path = "rooms" if name == "rooms" else "graphql"
        yield Server(name, f"http://127.0.0.1:{given['port']}/{path}", process.pid)
    finally:
        process.terminate()
        await process.wait()


def given_to_peer(settings: Settings) -> dict[str, Any]:
    """What a peer is told: a free port, the stores, and the part of Perch's writes that it need not know."""
    return {
        "port": free_port(),
        "mongo_url": settings.mongo_url,
        "redis_url": settings.redis_url,
        "database": settings.mongo_database,
        "secret": settings.secret_key.get_secret_value(),
        "schema": str(ROOT / "schema" / "schema.graphql"),
        "placed": popularity.restate({})[0],
    }


def _command(name: str) -> list[str]:
    if name in NODE:
        return [shutil.which("node") or "node", str(PEERS / f"{name}.mjs")]
    return [sys.executable, "-m", "tests.bench.floor"]


async def _answering(server: Server) -> None:
    async with asyncio.timeout(START_SECONDS), httpx.AsyncClient() as http:
        while True:
            try:
                await http.get(server.url)
                return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def compare(servers: Sequence[Server], workload: Workload, world: World, count: int = COMPARED) -> None:
    """Raises Differs unless all servers give the same data, some data at least, for the same requests."""
    async with httpx.AsyncClient(timeout=START_SECONDS) as http:
        for token, body in itertools.islice(workload.asked(world, seed=-1), count):
            answers = [_same(await _data(http, server, token, body)) for server in servers]
            for server, answer in zip(servers, answers, strict=True):
                if answer != answers[0]:
                    told = f"{body!r}\n{server.name} says\n{answer!r}\n{servers[0].name} says\n{answers[0]!r}"
                    raise Differs(told)


async def _data(http: httpx.AsyncClient, server: Server, token: str, body: bytes) -> Any:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    answer = orjson.loads((await http.post(server.url, content=body, headers=headers)).content)
    if answer.get("errors") or not all((answer.get("data") or {"": None}).values()):
        raise Differs(f"{server.name} fails: {body!r} {answer}")
    return answer["data"]


def _same(data: Any) -> bytes:
    """What must be equal: all data in its order (extensions are none), but for what is new in each posted tweet."""
    if "postTweet" in data:
        data["postTweet"]["tweet"] |= {"id": "new", "createdAt": "now"}
    return orjson.dumps(data)

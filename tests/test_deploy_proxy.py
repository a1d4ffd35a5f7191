"""The proxy of deploy/, run: Caddy with its Caddyfile, two servers behind it. Only how it finds them is another: by
their ports, where compose.yaml has a name for both."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from datastore import processes
from datastore.processes import Program
from realtime.devserver import valkey
from tests.forked import Running
from tests.perch import PATIENCE_SECONDS, Perch, free_port
from tests.processes import ROOT, Cluster

CADDY = str(Path(sys.executable).parent / "caddy")
CADDYFILE = ROOT / "deploy" / "Caddyfile"
CALLERS = 8


def caddy(*arguments: str, given: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(  # noqa: S603
        [CADDY, *arguments],
        input=given,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def adapted(port: int, servers: list[int]) -> dict[str, Any]:
    """The Caddyfile as Caddy reads it, at this port and with these servers."""
    told = caddy("adapt", "--config", str(CADDYFILE), SITE=f"http://127.0.0.1:{port}")
    assert told.returncode == 0, told.stderr
    config: dict[str, Any] = json.loads(told.stdout)
    (proxy,) = [one for one in handlers(config) if one["handler"] == "reverse_proxy"]
    assert proxy.pop("dynamic_upstreams")["port"] == "8000"
    proxy["upstreams"] = [{"dial": f"127.0.0.1:{one}"} for one in servers]
    # Its own door for operators would be at a fixed port.
    return config | {"admin": {"disabled": True}}


def handlers(part: Any) -> list[dict[str, Any]]:
    """All that handles requests, however deep."""
    if isinstance(part, list):
        return [found for one in part for found in handlers(one)]
    if not isinstance(part, dict):
        return []
    return ([part] if "handler" in part else []) + [found for one in part.values() for found in handlers(one)]


@asynccontextmanager
async def proxied(folder: Path, port: int, servers: list[int]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the proxy, once it answers."""
    config = folder / "caddy.json"
    config.write_text(json.dumps(adapted(port, servers)))
    env = os.environ | {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    program = Program("caddy", (CADDY, "run", "--config", str(config)), folder / "caddy.log", env)
    process = processes.Child(program)
    await process.start()
    async with (
        processes.kept(process, None),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as http,
    ):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await is_up(http):
                await asyncio.sleep(0.05)
        yield http


async def is_up(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).is_success
    except httpx.TransportError:
        return False


def test_the_caddyfile_is_one_and_formatted_and_nonsense_is_none() -> None:
    assert caddy("validate", "--adapter", "caddyfile", "--config", str(CADDYFILE)).returncode == 0
    assert caddy("fmt", str(CADDYFILE)).stdout == CADDYFILE.read_text()
    nonsense = CADDYFILE.read_text().replace("lb_policy", "lb_polity")
    assert caddy("adapt", "--adapter", "caddyfile", "--config", "-", given=nonsense).returncode != 0


@dataclass
class Server:
    """One of the servers behind the proxy, which may stop and start again at its port."""

    cluster: Cluster
    process: Running

    async def restart(self) -> int:
        """SIGTERM, then another one, until that one is ready. Gives the exit code of the first."""
        self.process.terminate()
        code = await self.process.wait()
        self.process = await self.cluster.start("serve")
        async with self.cluster.perch():
            return code


@dataclass
class Front:
    """Perch as its clients find it, by way of the proxy; and the servers behind it."""

    perch: Perch
    servers: list[Server]


@pytest.fixture(scope="module")
async def front(urls: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    """Two servers and a worker of compose.yaml, and its proxy."""
    folder = tmp_path_factory.mktemp("proxy")
    async with AsyncExitStack() as stack:
        # A Redis of their own: the relays of two databases would each take one for replaced by the other.
        redis_url = await stack.enter_async_context(valkey(folder / "redis"))
        first = Cluster((urls[0], redis_url), folder, TRUSTED_PROXIES="1", DRAIN_IDLE_SECONDS="1")
        second = first.beside()
        stack.push_async_callback(first.stop)
        await first.start("work")
        servers = [Server(one, await one.start("serve")) for one in (first, second)]
        perches = [await stack.enter_async_context(one.perch()) for one in (first, second)]
        http = await stack.enter_async_context(proxied(folder, free_port(), [first.port, second.port]))
        yield Front(replace(perches[0], url=str(http.base_url).rstrip("/"), http=http), servers)


async def test_requests_and_sockets_pass_and_what_is_inside_stays_inside(front: Front) -> None:
    author, reader = await front.perch.sign_up("author"), await front.perch.sign_up("reader")
    await reader.follow(author)
    async with reader.live((await reader.home())["liveCursor"]) as live:
        await author.post("through the proxy")
        while (event := await live.event())["__typename"] != "TimelineTweetAdded":
            pass
    assert event["edge"]["node"]["text"] == "through the proxy"
    for inside in ("/metrics", "/readyz"):
        assert (await front.perch.http.get(inside)).status_code == 404


@dataclass
class Callers:
    """Who ask through the proxy, each over a connection that stays open, until told to stop."""

    url: str
    answered: int = 0
    failed: list[tuple[int, str]] = field(default_factory=list)
    stopping: bool = False

    async def call(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_SECONDS) as http:
            while not self.stopping:
                answer = await http.post("/graphql", json={"query": "{ __typename }"})
                self.answered += 1
                if answer.status_code != 200:
                    self.failed.append((answer.status_code, answer.text))

    async def more(self, count: int) -> None:
        """Wait until so many more have been answered."""
        goal = self.answered + count
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.answered < goal:
                await asyncio.sleep(0.01)


async def test_servers_that_stop_in_turn_fail_no_request_that_comes_through_the_proxy(front: Front) -> None:
    callers = Callers(front.perch.url)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(callers.call())
        for server in front.servers:
            await callers.more(100)
            assert await server.restart() == 0
        await callers.more(100)
        callers.stopping = True
    assert callers.failed == []

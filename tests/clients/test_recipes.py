"""The documented recipes, run as they stand in the documents, with libraries that others wrote, while their server is
killed and comes back: each tweet arrives once, in order.
"""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from datastore.devserver import mongod
from realtime.devserver import valkey
from tests.perch import PATIENCE_SECONDS, Perch, Person
from tests.processes import ROOT, Cluster, kill

NODE = ROOT / "tests" / "node"
RECIPES = {"live.mjs": "README.md", "apollo.mjs": "docs/clients.md", "live.py": "docs/clients.md"}


# The recipes wait so long for the sake of a server that comes back to thousands.
LONG_WAITS = {"Math.random() * 10_000": "Math.random() * 500", "10 * random.random()": "random.random()"}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Servers and processes of this test's own."""
    async with mongod(tmp_path / "mongo") as mongo_url, valkey(tmp_path / "redis") as redis_url:
        cluster = Cluster((mongo_url, redis_url), tmp_path)
        yield cluster
        await cluster.stop()


def recipe(name: str) -> str:
    """The program of that name in the documents, whole."""
    text = (ROOT / RECIPES[name]).read_text()
    (found,) = re.findall(rf"```\w+\n((?://|#) {re.escape(name)}.*?)```", text, re.DOTALL)
    return str(found)


def sooner(text: str) -> str:
    """The same, but that it waits for no longer than a test does before it connects again."""
    for wait, shorter in LONG_WAITS.items():
        text = text.replace(wait, shorter)
    return text


@asynccontextmanager
async def running(name: str, folder: Path, port: int, reader: Person) -> AsyncIterator[Process]:
    """The program, against the server on this port."""
    # A module's imports are looked up from where it stands.
    place = (NODE if name.endswith(".mjs") else folder) / f".run-{port}-{name}"
    place.write_text(sooner(recipe(name)).replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    command = ["node", "--experimental-websocket"] if name.endswith(".mjs") else [sys.executable]
    env = os.environ | {"TOKEN": reader.token}
    process = await asyncio.create_subprocess_exec(*command, str(place), stdout=PIPE, stderr=PIPE, env=env)
    try:
        yield process
    finally:
        await kill(process)
        place.unlink()


async def arrived(process: Process, count: int) -> list[str]:
    """The next so many events, a line each."""
    assert process.stdout
    lines: list[str] = []
    async with asyncio.timeout(3 * PATIENCE_SECONDS):
        while len(lines) < count:
            line = await process.stdout.readline()
            if not line:
                assert process.stderr
                raise AssertionError((await process.stderr.read()).decode())
            lines.append(line.decode().strip())
    return lines


async def wait_for_reader(perch: Perch, count: int) -> None:
    """Until the server has so many subscriptions."""
    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        while f"perch_live_readers {count}.0" not in (await perch.http.get("/metrics")).text:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("name", RECIPES)
async def test_a_client_goes_on_where_it_was_when_its_server_is_killed_and_comes_back(
    cluster: Cluster, tmp_path: Path, name: str
) -> None:
    first = await cluster.start("serve")
    await cluster.start("work")
    other = await cluster.second_server()
    async with cluster.perch() as perch, other.perch() as elsewhere:
        reader, ann = await elsewhere.persons(2)
        await reader.follow(ann)
        await elsewhere.settle()
        async with running(name, tmp_path, cluster.port, reader) as process:
            await wait_for_reader(perch, 1)
            texts = [f"tweet {number}" for number in range(12)]
            expected = [f"TimelineTweetAdded {text}" for text in texts]
            for text in texts[:4]:
                await ann.post(text)
            assert await arrived(process, 4) == expected[:4]
            await kill(first)
            for text in texts[4:8]:
                await ann.post(text)
            await cluster.start("serve")
            async with cluster.perch() as perch:
                assert await arrived(process, 4) == expected[4:8]
                for text in texts[8:]:
                    await ann.post(text)
                assert await arrived(process, 4) == expected[8:]

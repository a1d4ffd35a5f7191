"""The recipes for clients with a store of their own, run as they stand in the documents, while their sockets are closed
under them: each tweet arrives once, in order.
"""

import asyncio
import os
import re
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schema.sockets import DRAINED
from tests.clients.test_recipes import arrived, sooner, wait_for_reader
from tests.docs.story import FENCE
from tests.perch import Perch, Person, serving
from tests.processes import ROOT, kill

NODE = ROOT / "tests" / "clients" / "node"
PAGE = (ROOT / "docs" / "clients.md").read_text()
INSTALLED = "install them: make tests/clients/node/node_modules/.installed"


def files() -> dict[str, str]:
    """The files of the page: those that are named by their fence, and programs by their first line."""
    found = {info.removeprefix("file="): body for _, info, body in FENCE.findall(PAGE) if info.startswith("file=")}
    return found | {"urql.mjs": next(body for _, _, body in FENCE.findall(PAGE) if body.startswith("// urql.mjs"))}


@pytest.fixture(scope="module")
def folder() -> Path:
    """Where the recipes stand, compiled. A module's imports are looked up from where it stands."""
    assert (NODE / "node_modules").exists(), INSTALLED
    return NODE


@asynccontextmanager
async def running(perch: Perch, reader: Person, folder: Path, *command: str) -> AsyncIterator[Process]:
    """A recipe of the page, all of its files beside it, against this server."""
    place = folder / f".run-{perch.url.rpartition(':')[2]}-{command[0]}"
    place.mkdir()
    for name, text in files().items():
        (place / name).write_text(sooner(text).replace("127.0.0.1:8000", perch.url.removeprefix("http://")))
    (place / "schema.graphql").write_text((ROOT / "schema" / "schema.graphql").read_text())
    if command[0] == "relay.mjs":
        await run(place, "node", str(NODE / "node_modules" / "relay-compiler" / "cli.js"))
    env = os.environ | {"TOKEN": reader.token}
    process = await asyncio.create_subprocess_exec(
        "node", "--experimental-websocket", *command, stdout=PIPE, stderr=PIPE, env=env, cwd=place
    )
    try:
        yield process
    finally:
        await kill(process)
        await run(folder, "rm", "-r", str(place))


async def run(folder: Path, *command: str) -> str:
    """What a command prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, cwd=folder)
    out, err = await process.communicate()
    assert process.returncode == 0, (out + err).decode()
    return out.decode()


@pytest.mark.parametrize("command", [["urql.mjs"], ["relay.mjs"]], ids=lambda command: command[0])
async def test_a_client_goes_on_where_it_was_when_its_socket_is_closed(
    perch: Perch, folder: Path, command: list[str]
) -> None:
    reader, ann = await perch.persons(2)
    await reader.follow(ann)
    for number in range(25):
        await ann.post(f"before {number}")
    await perch.settle()
    texts = [f"tweet {number}" for number in range(8)]
    expected = [f"TimelineTweetAdded {text}" for text in texts]
    async with serving(perch.settings) as own, running(own, reader, folder, *command) as process:
        await wait_for_reader(own, 1)
        for text in texts[:3]:
            await ann.post(text)
        assert await arrived(process, 3) == expected[:3]
        for connection in list(own.app.state.sockets._open):
            connection.end(DRAINED)
        for text in texts[3:]:
            await ann.post(text)
        assert await arrived(process, 5) == expected[3:]


async def test_relays_mutation_joins_the_page_that_was_read_before_it(perch: Perch, folder: Path) -> None:
    reader = await perch.person()
    await reader.post("the first")
    async with serving(perch.settings) as own, running(own, reader, folder, "relay.mjs", "by Relay") as process:
        assert await arrived(process, 1) == ["TimelineTweetAdded by Relay"]
        assert await reader.texts() == ["by Relay", "the first"]


def test_the_pages_install_what_the_lock_has() -> None:
    packages = set((NODE / "package.json").read_text().split('"'))
    pages = [PAGE.partition("## urql")[2], (ROOT / "docs" / "codegen.md").read_text()]
    named = [re.findall(r"npm install ([^&`\n]+)", page) for page in pages]
    assert all(named)
    assert {name for lines in named for line in lines for name in line.split()} - packages <= {"-D"}

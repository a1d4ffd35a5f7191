"""`make run CLUSTER=1`: a cluster on one machine that goes on when one of each kind is killed."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import httpx

from datastore.processes import bind_error
from tests.perch import PATIENCE_SECONDS
from tests.test_devserver import dev, gone, ready, up

WHOLE = {"mongod": 3, "valkey-server": 1, "serve": 2, "work": 2}
SIGN_UP = """mutation ($name: String!) { signUp(input: { username: $name, email: "ann@perch.example",
  password: "correct horse 7" }) { viewer { user { username } } errors { code } } }"""


async def signed_up(port: int, name: str) -> str:
    """The name of the new person, once that server has answered."""
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        body = {"query": SIGN_UP, "variables": {"name": name}}
        answer = (await http.post(f"http://127.0.0.1:{port}/graphql", json=body)).json()
    username: str = answer["data"]["signUp"]["viewer"]["user"]["username"]
    return username


def two_free_ports() -> int:
    """The first of two neighbours: below those that the system gives to connections, and to embedded servers."""
    while True:
        port = random.randrange(10_000, 19_998)
        if not any(bind_error("127.0.0.1", one) for one in (port, port + 1)):
            return port


async def test_a_cluster_comes_up_and_answers_with_a_mongod_a_server_and_a_worker_killed(tmp_path: Path) -> None:
    port = two_free_ports()
    async with dev(tmp_path, port, CLUSTER="on") as running:
        await up(running)
        await ready(port + 1)
        family = running.family()
        assert Counter(name for name, _ in family) == WHOLE
        for kind in ("mongod", "serve", "work"):
            next(process for name, process in family if name == kind).kill()
        # The first server is gone, and maybe MongoDB's primary: the second one answers.
        assert await signed_up(port + 1, "ann") == "ann"
        # That what dies is started again, one of each kind, is shown by tests/test_devserver.py.
        last = [process for _, process in running.family()]
        running.process.terminate()
        assert await asyncio.wait_for(running.process.wait(), 3 * PATIENCE_SECONDS) == 0
        assert gone(last)

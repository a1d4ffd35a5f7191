"""A socket lives as long as its right: it ends with its token, renews it by a ping, and is sent away by a stop."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from datastore.devserver import mongod
from realtime.devserver import valkey
from tests.perch import PATIENCE_SECONDS, Live, Perch, Person, Socket, serving
from tests.processes import Cluster

REFRESH = """mutation ($spent: String!) { refreshSession(input: {refreshToken: $spent}) {
  tokens { accessToken refreshToken } errors { code } } }"""


@pytest.fixture
async def hasty(perch: Perch) -> AsyncIterator[Perch]:
    """A second server whose tokens live for two seconds, and which lets a user have two sockets."""
    settings = perch.settings.model_copy(update={"access_token_seconds": 2, "sockets_per_user": 2})
    async with serving(settings) as hasty:
        yield hasty


async def connect(person: Person, socket: Socket) -> None:
    await socket.init({"authorization": f"Bearer {person.token}"})


async def renew(socket: Socket, token: object) -> None:
    await socket.send({"type": "ping", "payload": {"authorization": token}})


async def test_a_ping_with_a_new_token_lets_a_socket_outlive_the_old_one(hasty: Perch) -> None:
    reader, author = await hasty.persons(2)
    await reader.follow(author)
    await hasty.settle()
    async with reader.live() as live, hasty.socket() as other:
        await connect(reader, other)
        # Tokens end with a whole second: wait for one that ends later than the first.
        expires_at = first = await renewed(live, reader.token)
        while expires_at == first:
            fresh = await refreshed(reader)
            expires_at = await renewed(live, fresh.token)
        assert await other.closed() == 4403
        author.token = (await refreshed(author)).token
        await author.post("after the first token")
        assert await live.added() == "after the first token"
        assert await live.socket.closed() == 4403


async def refreshed(person: Person) -> Person:
    """The same, with new tokens."""
    answer = await person.perch.ask(REFRESH, spent=person.refresh_token)
    assert not answer.errors, answer
    tokens = answer.data["refreshSession"]["tokens"]
    person.token, person.refresh_token = tokens["accessToken"], tokens["refreshToken"]
    return person


async def renewed(live: Live, token: str) -> Any:
    await renew(live.socket, f"Bearer {token}")
    pong = await live.socket.receive()
    assert pong["type"] == "pong"
    return pong["payload"]["expiresAt"]


async def test_a_ping_with_another_accounts_token_or_with_junk_closes_with_4403(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    for token in (f"Bearer {bob.token}", "Bearer junk", "junk", 7):
        async with perch.socket() as socket:
            await connect(ann, socket)
            await renew(socket, token)
            assert await socket.closed() == 4403
    async with perch.socket() as nobodys:
        await nobodys.init()
        await renew(nobodys, f"Bearer {bob.token}")
        assert await nobodys.closed() == 4403


async def test_a_plain_ping_has_a_plain_pong(perch: Perch) -> None:
    ann = await perch.person()
    async with perch.socket() as socket:
        await connect(ann, socket)
        for payload in ({}, {"payload": {"seen": 1}}):
            await socket.send({"type": "ping"} | payload)
            assert await socket.receive() == {"type": "pong"}


async def test_a_user_has_so_many_sockets_and_another_one_when_one_has_closed(hasty: Perch) -> None:
    ann, bob = await hasty.persons(2)
    async with hasty.socket() as first, hasty.socket() as second, hasty.socket() as third:
        await connect(ann, first)
        await connect(ann, second)
        await third.send({"type": "connection_init", "payload": {"authorization": f"Bearer {ann.token}"}})
        assert await third.closed() == 4429
        async with hasty.socket() as bobs:
            await connect(bob, bobs)
            await bobs.send({"type": "ping"})
            assert await bobs.receive() == {"type": "pong"}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while hasty.app.state.sockets.session_ids():
            await hasty.settle()
    async with hasty.socket() as again:
        await connect(await refreshed(ann), again)
        await again.send({"type": "ping"})
        assert await again.receive() == {"type": "pong"}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Processes that send two sockets away and then wait for as long as the test takes."""
    async with mongod(tmp_path / "mongo") as mongo_url, valkey(tmp_path / "redis") as redis_url:
        cluster = Cluster((mongo_url, redis_url), tmp_path, DRAIN_SLICE="2", DRAIN_PAUSE_SECONDS="3")
        yield cluster
        await cluster.stop()


async def test_sigterm_sends_sockets_away_in_slices_and_serves_the_rest_meanwhile(cluster: Cluster) -> None:
    server = await cluster.start("serve")
    await cluster.start("work")
    async with cluster.perch() as perch, httpx.AsyncClient(base_url=perch.url, timeout=PATIENCE_SECONDS) as other:
        reader, author = await perch.persons(2)
        await reader.follow(author)
        await perch.settle()
        assert (await other.get("/healthz")).is_success
        lives = [reader.live() for _ in range(4)]
        opened = [await live.__aenter__() for live in lives]
        waiting = [asyncio.create_task(live.socket.connection.wait_closed()) for live in opened]
        server.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum(task.done() for task in waiting) < 2:
                await asyncio.wait([task for task in waiting if not task.done()], return_when="FIRST_COMPLETED")
        left = [live for live, task in zip(opened, waiting, strict=True) if not task.done()]
        assert len(left) == 2
        # What comes over connections that are open already is served still, and told to go elsewhere from then on.
        readiness = await perch.http.get("/readyz")
        assert (readiness.status_code, readiness.json()["draining"]) == (503, "yes")
        assert readiness.headers["connection"] == "close"
        await replace(author, perch=replace(perch, http=other)).post("while the server stops")
        assert [await live.added() for live in left] == ["while the server stops"] * 2
        async with httpx.AsyncClient(base_url=perch.url) as newcomer:
            with pytest.raises(httpx.ConnectError):
                await newcomer.get("/readyz")
        assert [await live.socket.closed() for live in opened] == [1012] * 4
    assert await asyncio.wait_for(server.wait(), PATIENCE_SECONDS) == 0

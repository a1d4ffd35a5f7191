"""Tells a page of the documents to a server: runs its operations in order and judges what comes back."""

import asyncio
import json
import shlex
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import app
from resolvers import accounts
from resolvers.context import Context
from tests.docs.story import Event, Names, Step, answers, filled, refusals, steps
from tests.perch import PATIENCE_SECONDS, Perch, Socket


@dataclass
class DemoWorld:
    """A server over the demo world, and tokens for its people."""

    perch: Perch
    tokens: dict[str, str] = field(default_factory=dict)

    async def token(self, username: str) -> str:
        """What `python -m app token NAME` prints."""
        if username not in self.tokens:
            clients = app.Clients(self.perch.mongo, self.perch.redis, self.perch.redis)
            async with app.services_of(self.perch.settings, clients) as services:
                user = await services.users.by_username(username)
                assert user, username
                context = Context(services, "127.0.0.1", "the documents")
                self.tokens[username] = (await accounts.open_session(context, user.id)).access_token
        return self.tokens[username]


class Teller:
    """One page on its way: what its names stand for, and its open subscriptions."""

    def __init__(self, world: DemoWorld, stack: AsyncExitStack, named: Names) -> None:
        self._world, self._stack, self.named = world, stack, named
        self._live: Socket | None = None

    async def tell(self, step: Step | Event) -> None:
        """Runs a step. Raises AssertionError where the server says something else than the page."""
        if isinstance(step, Event):
            await self._event(step)
        elif step.is_live:
            await self._subscribe(step)
        else:
            await self._ask(step)

    async def _ask(self, step: Step) -> None:
        body = filled(step.request or {"query": step.query, "variables": step.variables}, self.named)
        token = await self._token(step)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = (await self._world.perch.http.post("/graphql", json=body, headers=headers)).json()
        if step.answer is None:
            assert "errors" not in answer and not refusals(answer["data"]), f"{step.query}{answer}"  # noqa: PT018
        else:
            told = answers(step.answer, answer, self.named)
            assert not told, f"{told}\n{step.query}{json.dumps(answer, indent=1, ensure_ascii=False)}"
        if step.is_write:
            await self._world.perch.settle()

    async def _subscribe(self, step: Step) -> None:
        redis = self._world.perch.redis
        before = len(await redis.pubsub_shardchannels())
        self._live = await self._stack.enter_async_context(self._world.perch.socket())
        token = await self._token(step)
        await self._live.init({"authorization": f"Bearer {token}"} if token else None)
        payload = {"query": step.query, "variables": filled(step.variables, self.named)}
        await self._live.send({"type": "subscribe", "id": "1", "payload": payload})
        if "after" in step.variables:
            return
        # The others replay nothing, so what follows on the page must not be early.
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(await redis.pubsub_shardchannels()) == before:
                await self._world.perch.settle()

    async def _event(self, step: Event) -> None:
        assert self._live, "no subscription is open"
        message = await self._live.receive()
        assert message["type"] == "next", message
        told = answers(step.expected, message["payload"], self.named)
        assert not told, f"{told}\n{json.dumps(message, indent=1, ensure_ascii=False)}"

    async def _token(self, step: Step) -> str | None:
        how, _, name = step.asker.partition(" ")
        if how == "as":
            return await self._world.token(name)
        assert how in ("", "with"), step.asker
        return str(self.named[name]) if name else None


async def tell(world: DemoWorld, page: str, named: Names | None = None) -> int:
    """Runs a page from its first operation to its last, and gives how many there were."""
    count = 0
    async with AsyncExitStack() as stack:
        teller = Teller(world, stack, named or {})
        for step in steps(page):
            await teller.tell(step)
            count += 1
    return count


def requests(script: str) -> list[tuple[dict[str, str], Any]]:
    """(headers, body) of each `curl` in a shell script."""
    found = []
    words = shlex.split(script.replace("\\\n", " "), comments=True)
    for at, word in enumerate(words):
        if word.endswith("curl"):
            rest = words[at + 1 :]
            given = [rest[n + 1] for n, flag in enumerate(rest) if flag == "-H"]
            headers = dict(line.split(": ", 1) for line in given)
            found.append((headers, json.loads(rest[rest.index("-d") + 1])))
    return found

"""The world of tests/conftest.py with a Redis Cluster in it: three primaries, and a replica of the first."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

import app
from datastore.processes import Child
from datastore.settings import Settings
from realtime import keys
from realtime.breaker import Breaker
from realtime.cluster import Cluster, RefusedError
from realtime.connect import for_requests
from realtime.devserver import valkey_cluster
from realtime.slots import Address, slot_of
from schema import globalid
from tests.perch import Perch, Person, serving


@dataclass
class Servers:
    """Those of the cluster, and a client of it."""

    url: str
    of: dict[Address, Child]
    redis: Any

    @property
    def client(self) -> Cluster:
        assert isinstance(self.redis, Cluster)
        return self.redis

    async def kill(self, address: Address) -> None:
        """SIGKILL, and wait until it is gone."""
        pid = self.of[address].pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        await self.of[address].ended()

    async def primary_of(self, person: Person) -> Address:
        """Where this person's timeline is now."""
        await self.client.slots.refresh()
        return await self.client.slots.owner(slot_of(keys.timeline(number(person))))

    async def person(self, perch: Perch, primary: Address) -> Person:
        """Somebody new whose timeline is there."""
        while await self.primary_of(person := await perch.person()) != primary:
            pass
        return person

    async def calm(self) -> list[Address]:
        """The primaries with nothing but readers: neither events nor what all readers share."""
        await self.client.slots.refresh()
        shared = [await self.client.slots.owner(slot_of(name)) for name in (keys.TOP_STREAM, keys.RELAY_MARK)]
        return [address for address in await self.client.slots.of_each() if address not in shared]


@contextmanager
def silent(node: Any) -> Iterator[None]:
    """As long as nothing is let through to this server by one client. Another breaker: what is under way may close the
    one that there is."""
    answering, node.breaker = node.breaker, Breaker((), lambda: RefusedError("silent"), 0)
    node.breaker.hold()
    yield
    node.breaker = answering


def number(person: Person) -> int:
    return globalid.of_type(person.id, "User")


@pytest.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    """One cluster for all tests here; each leaves it whole."""
    async with valkey_cluster(tmp_path_factory.mktemp("cluster"), replicas=1) as (url, started):
        of = {("127.0.0.1", urlsplit(one).port or 0): child for one, child in started}
        redis = for_requests(url, 2000)
        yield Servers(url, of, redis)
        await redis.aclose()


@pytest.fixture(scope="session")
def settings(settings: Settings, servers: Servers) -> Settings:
    """Those of all tests, over the cluster."""
    return settings.model_copy(update={"redis_url": servers.url, "mongo_database": "on_cluster"})


@pytest.fixture(scope="session")
async def perch(settings: Settings) -> AsyncIterator[Perch]:
    """A server and a worker of their own."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.working(settings))
        yield await stack.enter_async_context(serving(settings))

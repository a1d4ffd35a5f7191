"""The world of a test: the real app over a real mongod and valkey, one set for each test process."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr

import app
from datastore.devserver import mongod
from datastore.settings import Settings
from realtime.devserver import valkey, valkey_cluster
from tests.perch import Perch, serving

os.environ.pop("MONGO_URL", None)
os.environ.pop("REDIS_URL", None)
# With `rich` there, which the fuzzer brings, a traceback would be drawn with all its variables: seconds for each.
_CONSOLE = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _CONSOLE])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--redis-cluster", action="store_true", help="let a Redis Cluster be the Redis of every test")


@pytest.fixture(scope="session")
async def urls(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, str]]:
    """(MongoDB, Redis): servers of this test process's own."""
    folder: Path = tmp_path_factory.mktemp("servers")
    async with AsyncExitStack() as stack:
        mongo_url = await stack.enter_async_context(mongod(folder / "mongo"))
        if request.config.getoption("--redis-cluster"):
            redis_url, _ = await stack.enter_async_context(valkey_cluster(folder / "cluster"))
        else:
            redis_url = await stack.enter_async_context(valkey(folder / "redis"))
        yield mongo_url, redis_url


@pytest.fixture
async def apart(urls: tuple[str, str], tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """The same MongoDB and a Redis of the test's own, for workers of its own: the relays of two databases would each
    take one Redis for replaced by the other."""
    async with valkey(tmp_path / "redis") as redis_url:
        yield urls[0], redis_url


@pytest.fixture(scope="session")
def settings(urls: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Short waits, no action limits, a port that is not used."""
    return Settings(
        mongo_url=urls[0],
        redis_url=urls[1],
        data_dir=tmp_path_factory.mktemp("data"),
        secret_key=SecretStr("a secret for tests, long enough to sign with"),
        rate_limits=False,
        top_user_threshold=8,
        redis_timeout_ms=2000,
        lease_seconds=1,
        sweep_seconds=0.2,
        drain_idle_seconds=0.1,
        purge_look_seconds=0.1,
        purge_again_seconds=1,
        log_level="WARNING",
    )


@pytest.fixture(scope="session")
async def perch(settings: Settings) -> AsyncIterator[Perch]:
    """A server and a worker. Tests share it and make people of their own."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.working(settings))
        yield await stack.enter_async_context(serving(settings))


@pytest.fixture(scope="session")
def live_server(perch: Perch) -> Perch:
    """The same, under the name that the browser tests know."""
    return perch


@pytest.fixture(scope="session")
async def demo_account(perch: Perch) -> None:
    """The account that GraphiQL's example tabs log in with."""
    await perch.sign_up("demo", "perch-demo-2006")

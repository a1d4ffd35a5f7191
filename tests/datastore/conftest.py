"""A fresh database on this test process's mongod for each test of this room, through either driver."""

import secrets
from collections.abc import AsyncIterator

import pytest

from datastore.mongo import DRIVERS, Mongo
from datastore.settings import Settings

# Where the calls of the drivers differ, or how they fail. MONGO_DRIVER=pymongo in the environment runs all on one.
BOTH = {"test_mongo", "test_changes", "test_session_ends", "test_sessions"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "mongo" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in BOTH:
        metafunc.parametrize("driver", sorted(DRIVERS))


@pytest.fixture(scope="session")
def mongo_url(urls: tuple[str, str]) -> str:
    return urls[0]


@pytest.fixture
def driver(settings: Settings) -> str:
    """The one of the settings, where a test does not run on both."""
    return settings.mongo_driver


@pytest.fixture
async def mongo(mongo_url: str, driver: str) -> AsyncIterator[Mongo]:
    mongo = Mongo(mongo_url, f"test_{secrets.token_hex(6)}", driver=driver)
    await mongo.ensure_indexes()
    yield mongo
    await mongo.client.drop_database(mongo.db.name)
    await mongo.close()

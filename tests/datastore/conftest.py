"""An empty database on this test process's mongod for each test of this room, through either driver."""

from collections.abc import AsyncIterator

import pytest

from datastore.mongo import DRIVERS, Mongo
from datastore.settings import Settings
from tests.emptied import emptied

# Where the calls of the drivers differ, or how they fail. MONGO_DRIVER=pymongo in the environment runs all on one.
BOTH = {"test_mongo", "test_changes", "test_session_ends", "test_sessions", "test_together", "test_writes"}


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
    mongo = Mongo(mongo_url, "test_datastore", driver=driver)
    await emptied(mongo)
    yield mongo
    await mongo.close()

"""An empty database on this test process's mongod for each test of this room."""

from collections.abc import AsyncIterator

import pytest

from datastore.mongo import Mongo
from tests.emptied import emptied


@pytest.fixture(scope="session")
def mongo_url(urls: tuple[str, str]) -> str:
    return urls[0]


@pytest.fixture
async def mongo(mongo_url: str) -> AsyncIterator[Mongo]:
    mongo = Mongo(mongo_url, "test_datastore")
    await emptied(mongo)
    yield mongo
    mongo.close()

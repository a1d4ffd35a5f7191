"""A fresh database on this test process's mongod for each test of this room."""

import secrets
from collections.abc import AsyncIterator

import pytest

from datastore.mongo import Mongo


@pytest.fixture(scope="session")
def mongo_url(urls: tuple[str, str]) -> str:
    return urls[0]


@pytest.fixture
async def mongo(mongo_url: str) -> AsyncIterator[Mongo]:
    mongo = Mongo(mongo_url, f"test_{secrets.token_hex(6)}")
    await mongo.ensure_indexes()
    yield mongo
    await mongo.client.drop_database(mongo.db.name)
    mongo.close()

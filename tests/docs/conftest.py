"""A Perch like that of `make run`: the demo world and nobody else, for what the documents show."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

import app
from datastore.settings import Settings
from tests.docs.teller import DemoWorld
from tests.perch import serving

# A Redis of its own on the shared server.
REDIS_NUMBER = 3


@pytest.fixture(scope="session")
async def demo_world(settings: Settings) -> AsyncIterator[DemoWorld]:
    """The server, a worker, and the people of the demo world."""
    redis_url = settings.redis_url.removesuffix("/0") + f"/{REDIS_NUMBER}"
    own = settings.model_copy(update={"mongo_database": "docs", "redis_url": redis_url, "top_user_threshold": 100})
    async with AsyncExitStack() as stack:
        await app.seed(own)
        await stack.enter_async_context(app.working(own))
        yield DemoWorld(await stack.enter_async_context(serving(own)))

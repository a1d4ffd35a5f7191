"""Ground: servers of the model's own, and a client to each that calls without asyncio."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from datastore.devserver import mongod
from datastore.mongo import Mongo
from datastore.settings import Settings
from realtime.devserver import valkey
from tests.model.gates import Line
from tests.model.wire import Wire
from tests.model.world import Ground


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    """A private mongod and valkey, ready for runs."""
    async with mongod(folder / "mongo") as mongo_url, valkey(folder / "redis") as redis_url:
        mongo = Mongo(mongo_url, "model")
        await mongo.ensure_indexes()
        await mongo.close()
        settings = Settings(secret_key=SecretStr("a secret for models, long enough to sign with"), rate_limits=False)
        found = Ground(Wire(mongo_url, "model"), Line(redis_url), settings)
        # A process that is killed leaves futures that nobody waits for any more.
        found.loop.set_exception_handler(lambda *_: None)
        try:
            yield found
        finally:
            found.close()

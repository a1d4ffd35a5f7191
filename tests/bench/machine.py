"""What every bench starts and looks at: private stores, and what a process has used. Measures nothing by itself."""

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from pydantic import SecretStr

from datastore.devserver import mongod
from datastore.settings import Settings
from realtime.devserver import valkey

T = TypeVar("T")
TICKS = os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Settings]:
    """Settings for a private mongod and valkey."""
    async with mongod(folder / "mongo") as mongo_url, valkey(folder / "redis") as redis_url:
        yield Settings(
            mongo_url=mongo_url,
            redis_url=redis_url,
            data_dir=folder,
            secret_key=SecretStr("a secret for benches, long enough to sign with"),
            rate_limits=False,
            log_level="WARNING",
        )


def run(bench: Coroutine[Any, Any, T]) -> T:
    """What a bench gives. SIGTERM ends it as Ctrl-C does: what it started is stopped."""

    async def stoppable() -> T:
        task = asyncio.current_task()
        assert task
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await bench

    return uvloop.run(stoppable())


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def family() -> dict[int, str]:
    """The processes that this one has started and that run, with their names."""
    found: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
            if int(rest.split()[1]) == os.getpid():
                found[int(path.parent.name)] = name
    return found


def own_cpu_seconds() -> float:
    """User and system time of this process so far, to the microsecond."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20

"""Who owns a data directory: one program at a time, and what it tells the others. Never in production."""

import asyncio
import fcntl
import json
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from datastore.processes import READY_SECONDS, DevServerError

# The owner whose servers other commands may use.
MAKE_RUN = "make run"
# A server whose supervisor was killed still closes its files; the next owner waits for that.
LOCK_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Run:
    """What `make run` tells other commands through DATA_DIR/run.json."""

    pid: int
    host: str
    port: int
    mongo_url: str
    redis_url: str


def take(lock: Path, owner: str) -> IO[str] | None:
    """The lock, held until it is closed or this process (and any child it was given to) dies; None if another has it.

    The kernel drops the lock with its holder, so a file left behind never blocks."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+")
    except OSError as error:
        raise DevServerError(f"cannot write {lock}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.truncate(0)
    file.write(f"{os.getpid()} {owner}")
    file.flush()
    return file


def owner_of(lock: Path) -> tuple[int, str]:
    """Who wrote the lock file last: process id and command; (0, "") when there is nobody."""
    try:
        pid, _, owner = lock.read_text().partition(" ")
        return int(pid), owner
    except (OSError, ValueError):
        return 0, ""


def own(data_dir: Path, owner: str) -> IO[str]:
    """DATA_DIR for a command that must be its only owner."""
    if (lock := take(data_dir / "lock", owner)) is None:
        raise _in_use(data_dir)
    return lock


async def own_or_find(data_dir: Path, owner: str) -> IO[str] | Run:
    """DATA_DIR if nobody has it, else the `make run` that has it; waits for one that is still starting."""
    deadline = time.monotonic() + READY_SECONDS
    while (lock := take(data_dir / "lock", owner)) is None:
        if run := published_run(data_dir):
            return run
        if owner_of(data_dir / "lock")[1] != MAKE_RUN or time.monotonic() > deadline:
            raise _in_use(data_dir)
        await asyncio.sleep(0.05)
    return lock


def _in_use(data_dir: Path) -> DevServerError:
    pid, owner = owner_of(data_dir / "lock")
    return DevServerError(f"{data_dir} is in use by `{owner}` (process {pid}): stop it, or give another DATA_DIR")


async def take_soon(data_dir: Path, owner: str) -> IO[str]:
    """The lock of a server's data directory, waiting a while for a server that is about to end."""
    deadline = time.monotonic() + LOCK_SECONDS
    while (lock := take(data_dir / "lock", owner)) is None:
        pid, _ = owner_of(data_dir / "lock")
        if time.monotonic() > deadline or _alive(pid):
            raise DevServerError(f"{data_dir} is in use by another {owner} (started by process {pid})")
        await asyncio.sleep(0.05)
    return lock


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def kept_secret(data_dir: Path) -> str:
    """A random secret that is made once and then kept, for the owner's eyes only."""
    path, draft = data_dir / "secret_key", data_dir / f"secret_key.{os.getpid()}"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            draft.touch(0o600)
            draft.write_text(secrets.token_urlsafe(48))
            with suppress(FileExistsError):  # another command was first: link never overwrites
                os.link(draft, path)
            draft.unlink()
        return path.read_text()
    except OSError as error:
        raise DevServerError(f"cannot keep a key in {path}: {error.strerror}") from error


@asynccontextmanager
async def published(data_dir: Path, run: Run) -> AsyncIterator[None]:
    """Shows the run to other commands until the end. Only the holder of DATA_DIR/lock may."""
    path = data_dir / "run.json"
    path.unlink(missing_ok=True)
    # 0600: a URL may carry a password.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(run), file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def published_run(data_dir: Path) -> Run | None:
    """The run that holds DATA_DIR/lock now; None while it starts, and for a file left behind by a dead one."""
    try:
        run = Run(**json.loads((data_dir / "run.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return run if run.pid == owner_of(data_dir / "lock")[0] else None

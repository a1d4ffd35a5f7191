"""Forked: processes of `python -m app` without the second and a half of importing it, for tests that kill many.

One process imports everything, does nothing else, and forks when asked to: what it gives are processes like any others,
with an environment, a log and an end of their own. `python -m tests.forked` is that one process.
"""

import asyncio
import gc
import json
import os
import selectors
import signal
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

import app

ROOT = Path(__file__).parent.parent


class Running(Protocol):
    """What tests do with a process; asyncio's own have more."""

    pid: int

    @property
    def returncode(self) -> int | None: ...
    def send_signal(self, signal: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    async def wait(self) -> int: ...


@dataclass
class Forked:
    """A process that was forked; its end is told by the one that forked it."""

    pid: int
    _ended: "asyncio.Future[int]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def returncode(self) -> int | None:
        """As subprocess has it: below zero is a signal."""
        return self._ended.result() if self._ended.done() else None

    def send_signal(self, signal: int, /) -> None:
        if not self._ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)


class Forge:
    """Forks on demand. Each call gives a process that is on its way through `app.main`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._born: asyncio.Queue[int] = asyncio.Queue()
        self._one_by_one = asyncio.Lock()
        self._children: dict[int, Forked] = {}

    async def start(self, arguments: list[str], env: dict[str, str], log: Path) -> Forked:
        """`python -m app` with these arguments, nothing but this environment, and its output in the log."""
        assert self._process.stdin
        async with self._one_by_one:
            order = {"argv": ["app", *arguments], "env": env, "log": str(log)}
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            return self._children[await self._born.get()]

    async def listen(self) -> None:
        """Take what the process tells, until it ends."""
        assert self._process.stdout
        async for line in self._process.stdout:
            told = json.loads(line)
            if "code" in told:
                self._children.pop(told["pid"])._ended.set_result(told["code"])
            else:
                self._children[told["pid"]] = Forked(told["pid"])
                self._born.put_nowait(told["pid"])
        # Nobody is born any more: whoever waits must not wait for ever.
        self._born.put_nowait(0)


@asynccontextmanager
async def forge() -> AsyncIterator[Forge]:
    """One that has imported everything. What it forked and still runs is killed at the end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.forked", cwd=ROOT, stdin=pipe, stdout=pipe
    )
    made = Forge(process)
    listening = asyncio.create_task(made.listen())
    try:
        yield made
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()
        await listening


# ---------------------------------------------------------------- the process that forks


def main() -> None:
    """Fork for each line of the input; tell each child's pid, and its code when it ends. Kill them at its end."""
    # What lives as long as the process is shared with the children for as long as nobody writes to it.
    gc.freeze()
    children: dict[int, int] = {}
    waiting = b""
    with selectors.DefaultSelector() as ready:
        ready.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is not sys.stdin:
                    _bury(ready, children, key.fd)
                    continue
                given = os.read(key.fd, 1 << 20)
                if not given:
                    return _end(children)
                *lines, waiting = (waiting + given).split(b"\n")
                for line in lines:
                    _fork(ready, children, json.loads(line))


def _fork(ready: selectors.BaseSelector, children: dict[int, int], order: dict[str, Any]) -> None:
    pid = os.fork()
    if pid == 0:
        _become(order)
    fd = os.pidfd_open(pid)
    children[fd] = pid
    ready.register(fd, selectors.EVENT_READ)
    _tell(pid=pid)


def _become(order: dict[str, Any]) -> NoReturn:
    """The child, from here on: as if it had been started by a shell."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, fd in enumerate((nothing, log, log)):
        os.dup2(fd, number)
    os.closerange(3, 1024)
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = order["argv"]
    code = 1
    try:
        code = app.main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Not the way back through the parent's loop.
        os._exit(code)


def _bury(ready: selectors.BaseSelector, children: dict[int, int], fd: int) -> None:
    ready.unregister(fd)
    os.close(fd)
    pid, status = os.waitpid(children.pop(fd), 0)
    _tell(pid=pid, code=os.waitstatus_to_exitcode(status))


def _tell(**what: int) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def _end(children: dict[int, int]) -> None:
    for pid in children.values():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in children.values():
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()

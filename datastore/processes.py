"""Child processes and ports: started, watched, started again, stopped. In production only the servers of WORKERS."""

import asyncio
import ctypes
import errno
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

Say = Callable[[str], None]
Probe = Callable[[], Awaitable[bool]]

# Below the range from which Linux takes ports for outgoing connections, so that a remembered port stays free.
PORTS = range(20_000, 32_768)
READY_SECONDS = 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 10.0
# A child that lived this long was well: its next death starts the pauses from the shortest again.
WELL_AFTER_SECONDS = 20.0
LOG_BYTES = 16 * 1024 * 1024
# Connections that wait for a server to take them, as many as uvicorn's own.
BACKLOG = 2048
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class DevServerError(Exception):
    """Why a server cannot run here, as one line for a person."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `log` takes all output, unless it is to come `among_ours`; `held` are locks and sockets that live as
    long as the child does.

    `orphan_signal` comes when we are killed: SIGTERM to close files, SIGKILL for who would only wait for others."""

    name: str
    command: tuple[str, ...]
    log: Path
    env: Mapping[str, str] | None = None
    held: tuple[int, ...] = ()
    grace_seconds: float = 15.0
    orphan_signal: signal.Signals = signal.SIGTERM
    among_ours: bool = False


class Child:
    """A running program in a process group of its own: Ctrl-C reaches only us; our death, SIGKILL included, ends it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Starts it, with its output appended to the log (the log before last is dropped when it is long)."""
        program = self.program
        with nullcontext() if program.among_ours else _appended(program.log) as log:
            self._process = await asyncio.create_subprocess_exec(
                *program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=program.env,
                pass_fds=program.held,
                start_new_session=True,
                preexec_fn=_ends_with(os.getpid(), program.orphan_signal),
            )

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL to its whole group once the grace is over. Repeatable."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        # Not wait_for: in a cancelled task it must neither raise nor cut the grace short.
        ended = asyncio.ensure_future(self._process.wait())
        _, late = await asyncio.wait({ended}, timeout=self.program.grace_seconds)
        if late:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await ended

    async def ended(self) -> str:
        """Waits for its end and gives how it came: "exit 1" or "SIGKILL"."""
        code = await self._process.wait() if self._process else 0
        return signal.Signals(-code).name if code < 0 else f"exit {code}"

    async def ready(self, probe: Probe, seconds: float = READY_SECONDS) -> bool:
        """True once the probe holds; False when the process ends first. Raises when it takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while self.pid is not None:
            if await probe():
                return True
            if time.monotonic() > deadline:
                raise DevServerError(f"{self.program.name} is not ready after {seconds:.0f} s: see {self.program.log}")
            await asyncio.sleep(0.02)
        return False


def _appended(log: Path) -> BinaryIO:
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))
    return log.open("ab")


def _ends_with(parent: int, sent: signal.Signals) -> Callable[[], None]:
    def before_exec() -> None:
        end_with_parent(sent)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)

    return before_exec


def end_with_parent(sent: signal.Signals = signal.SIGTERM) -> None:
    """Asks Linux to send this process a signal when its parent dies (elsewhere: nothing)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, sent)


async def obey_make() -> None:
    """Sends this process SIGTERM once `make`, its parent, dies or has been told to stop. Runs until cancelled.

    Ctrl-C reaches both; `kill -INT` of make alone does not: make keeps it to itself and waits for us inside its
    handler, where Linux shows the signal as blocked."""
    end_with_parent()
    waits = 1 << signal.SIGINT - 1 | 1 << signal.SIGHUP - 1
    status = Path(f"/proc/{os.getppid()}/status")
    while status.exists():
        blocked = next(line for line in status.read_text().splitlines() if line.startswith("SigBlk"))
        if int(blocked.split()[1], 16) & waits:
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.25)


@asynccontextmanager
async def kept(child: Child, say: Say | None) -> AsyncIterator[Child]:
    """Stops the child at the end. With `say`, starts it again whenever it dies meanwhile, one line for each death."""
    watch = asyncio.create_task(_restart(child, say)) if say else None
    try:
        yield child
    finally:
        if watch:
            watch.cancel()
            await asyncio.wait({watch})
        await child.stop()


async def _restart(child: Child, say: Say) -> None:
    pause = FIRST_PAUSE_SECONDS
    while True:
        born = time.monotonic()
        how = await child.ended()
        if time.monotonic() - born > WELL_AFTER_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        told = "above" if child.program.among_ours else child.program.log
        say(f"{child.program.name} ended ({how}); starting it again in {pause:g} s (see {told})")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        await child.start()


def bind_error(host: str, port: int) -> OSError | None:
    """Why nothing can listen there; None when something can. A port in TIME_WAIT counts as free."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises as `check_port`."""
    check_port(host, port)
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address, family=family, backlog=BACKLOG)


def check_port(host: str, port: int) -> None:
    """Refuses a HOST or PORT on which nothing can listen."""
    error = bind_error(host, port)
    if error and error.errno == errno.EADDRINUSE:
        raise DevServerError(f"port {port} is taken by another program; run with PORT={port + 1}")
    if error:
        raise DevServerError(f"cannot listen on HOST={host} PORT={port}: {error.strerror}")


async def is_ok(host: str, port: int, path: str) -> bool:
    """Whether a GET of this path is answered with 200 now."""
    with suppress(OSError):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        status = await asyncio.wait_for(reader.readline(), 2)
        writer.close()
        return b" 200 " in status
    return False


def _candidate_ports(remembered: Path) -> Iterator[int]:
    """The port of last time first, so that URLs stay valid; then others. Five in all: more is not a clash."""
    with suppress(OSError, ValueError):
        yield int(remembered.read_text())
    yield from random.sample(PORTS, 4)


async def listening(
    data_dir: Path, program: Callable[[int], Program], probe: Callable[[int, int], Awaitable[bool]]
) -> tuple[Child, int]:
    """A ready child and its port. A port that another program has, or takes meanwhile, is passed over.

    The probe is given (port, pid) and must look at the pid or the data: somebody else may answer on that port."""
    remembered = data_dir / "port"
    for port in _candidate_ports(remembered):
        if bind_error("127.0.0.1", port):
            continue
        child = Child(program(port))
        try:
            await child.start()
            if await child.ready(lambda: probe(port, child.pid or 0)):  # noqa: B023  awaited within this round
                remembered.write_text(str(port))
                return child, port
        except BaseException:
            await child.stop()
            raise
        if not bind_error("127.0.0.1", port):
            raise DevServerError(f"{child.program.name} does not start: {last_words(child.program.log)}")
    raise DevServerError("five ports in a row were taken by other programs")


def last_words(log: Path) -> str:
    """The error a server ended with: from its last JSON line that is one, else its last plain line."""
    for line in reversed(log.read_text(errors="replace").splitlines()[-100:]):
        if not line.startswith("{"):
            if line.strip():
                return line.strip() + _hint(line)
            continue
        with suppress(ValueError):
            entry = json.loads(line)
            if entry.get("s") in ("E", "F"):
                return str(entry.get("attr", {}).get("error") or entry.get("msg"))
            if entry.get("level") in ("error", "critical"):
                return str(entry.get("event"))
    return f"see {log}"


def _hint(line: str) -> str:
    return " (Debian: apt-get install libcurl4, or give MONGO_URL)" if "libcurl.so.4" in line else ""

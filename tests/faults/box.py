"""A cluster in a box: three mongods, a valkey, two servers, two workers, and what may happen to each of them."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from datastore.changes import Changes
from datastore.devserver import Member, replica_set
from datastore.mongo import PyMongoError
from datastore.processes import Child
from realtime.connect import RedisError
from realtime.devserver import valkey_child
from realtime.pipeline import settle
from tests.faults.line import Line, line
from tests.forked import Running, forge
from tests.perch import Perch, Person, free_port
from tests.processes import Cluster

# A set that lost its primary elects another after so long.
ELECTION_MS = 2000
REPAIR_SECONDS = 120
# Short, and the same in every process.
WAITS = {
    "LEASE_SECONDS": "1",
    "SWEEP_SECONDS": "0.3",
    "DRAIN_PAUSE_SECONDS": "0.05",
    "BREAKER_OPEN_SECONDS": "0.5",
    "ACCESS_TOKEN_SECONDS": "86400",
    "PARTITIONS": "4",
    "SOCKETS_PER_USER": "200",
}
PARTITIONS = int(WAITS["PARTITIONS"])
SERVERS, WORKERS = ("server0", "server1"), ("worker0", "worker1")


class Box:
    """Everything is up after `repair`, whatever was done before."""

    def __init__(self, cluster: Cluster, members: list[Member], valkey: Child, redis_line: Line) -> None:
        self.members, self.valkey, self.redis_line = members, valkey, redis_line
        self._clusters = [cluster]
        self._work_ports = {name: free_port() for name in WORKERS}
        self._processes: dict[str, Running] = {}
        self.perches: list[Perch] = []
        self._frozen: set[int] = set()
        self._leaving: set[str] = set()
        # Who was told to end; and who ended without being told, which nobody should.
        self._ended: set[str] = set()
        self.died: list[str] = []
        self._missing = ""

    @property
    def perch(self) -> Perch:
        """The first server's front door, and clients of the stores."""
        return self.perches[0]

    def at(self, person: Person, server: int) -> Person:
        """The same person, asking this server."""
        return replace(person, perch=self.perches[server])

    # What may happen

    def kill_now(self, name: str) -> None:
        """SIGKILL a process."""
        self._ended.add(name)
        self._processes[name].kill()

    async def kill(self, name: str) -> None:
        """SIGKILL a process, and wait until it is gone."""
        self.kill_now(name)
        await self._processes[name].wait()

    async def stop(self, name: str) -> int:
        """SIGTERM, and wait until it has drained; gives the exit code."""
        self._ended.add(name)
        process = self._processes[name]
        process.terminate()
        return await process.wait()

    def servers_up(self) -> list[int]:
        """The servers that a load balancer would ask now: not those that are told to stop."""
        return [number for number in range(len(SERVERS)) if SERVERS[number] not in self._leaving]

    async def drain(self, name: str) -> int:
        """As an orchestrator does: nobody new is sent there, then SIGTERM. It is sent to again once `repair` found it
        ready. Gives the exit code."""
        self._leaving.add(name)
        return await self.stop(name)

    async def start(self, name: str) -> None:
        """Start a process that is not running."""
        self._ended.discard(name)
        command = "serve" if name in SERVERS else "work"
        cluster = self._clusters[int(name[-1]) if name in SERVERS else 0]
        # The second server reaches Redis over a line of its own.
        settings = {"REDIS_URL": f"redis://127.0.0.1:{self.redis_line.port}/0"} if name == "server1" else {}
        if name in WORKERS:
            settings = {"WORK_PORT": str(self._work_ports[name])}
        self._processes[name] = await cluster.start(command, **settings)

    def freeze(self, child: Child) -> None:
        """SIGSTOP: it holds its connections and answers nothing."""
        assert child.pid
        os.kill(child.pid, signal.SIGSTOP)
        self._frozen.add(child.pid)

    def freeze_process(self, name: str) -> None:
        """SIGSTOP of a server or a worker."""
        self._processes[name].send_signal(signal.SIGSTOP)
        self._frozen.add(self._processes[name].pid)

    def thaw(self) -> None:
        """Whatever is frozen goes on."""
        while self._frozen:
            os.kill(self._frozen.pop(), signal.SIGCONT)

    async def kill_child(self, child: Child) -> None:
        """SIGKILL a mongod or the valkey."""
        assert child.pid
        os.kill(child.pid, signal.SIGKILL)
        await child.ended()

    def pid(self, name: str) -> int:
        """Of the process that runs under this name now."""
        return self._processes[name].pid

    def worker_url(self, name: str) -> str:
        """Where a worker tells how it is."""
        return f"http://127.0.0.1:{self._work_ports[name]}"

    async def worker_says(self, name: str) -> tuple[int, dict[str, Any]]:
        """A worker's /readyz: the status, and what it reports."""
        answer = await self.perch.http.get(f"{self.worker_url(name)}/readyz")
        return answer.status_code, answer.json()

    def logged(self) -> str:
        """All that the processes have said."""
        return "".join(path.read_text() for path in self._clusters[0].folder.glob("*.log"))

    def said(self, name: str) -> list[dict[str, Any]]:
        """The log of the process that runs under this name now, line by line."""
        lines = self._clusters[0].said(self._processes[name]).splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    async def command(self, *arguments: str) -> str:
        """What `python -m app` with these arguments prints."""
        process = await self._clusters[0].start(*arguments)
        assert await process.wait() == 0
        return self._clusters[0].said(process)

    async def metric(self, name: str, server: int = 0) -> float:
        """What a server counts."""
        lines = (await self.perches[server].http.get("/metrics")).text.splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))

    async def primary(self) -> Member:
        """The member that takes writes now."""
        async with asyncio.timeout(REPAIR_SECONDS):
            while True:
                hello: Any = await self.perch.mongo.client.admin.command("hello")
                if hello["isWritablePrimary"]:
                    return next(member for member in self.members if member.host == hello["me"])

    # And what makes it good

    async def repair(self) -> None:
        """Everything runs and all that was written has followed."""
        self.redis_line.pass_on()
        self.thaw()
        for child in [self.valkey, *(member.child for member in self.members)]:
            if child.pid is None:
                await child.start()
        try:
            await eventually(self._is_whole, REPAIR_SECONDS)
        except TimeoutError:
            raise AssertionError(f"not whole after {REPAIR_SECONDS} s: {self._missing}") from None
        self._leaving.clear()
        await eventually(self._has_followed, REPAIR_SECONDS)

    async def _has_followed(self) -> bool:
        await settle(Changes(self.perch.mongo), self.perch.redis, PARTITIONS)
        return True

    async def _supervise(self) -> None:
        """Start what is not running, as an orchestrator would; what nobody killed is remembered."""
        for name in (*SERVERS, *WORKERS):
            process = self._processes.get(name)
            if process and process.returncode is None:
                continue
            if process and name not in self._ended:
                self.died.append(f"{name}: exit {process.returncode}")
            await self.start(name)

    async def _is_whole(self) -> bool:
        self._missing = "a process"
        await self._supervise()
        self._missing = "MongoDB"
        status: Any = await self.perch.mongo.client.admin.command("replSetGetStatus")
        healthy = all(member["stateStr"] in ("PRIMARY", "SECONDARY") for member in status["members"])
        self._missing = f"a member: {[member['stateStr'] for member in status['members']]}"
        if not healthy:
            return False
        for perch in self.perches:
            self._missing = f"the server at {perch.url}"
            if not await perch.is_ready():
                return False
        return True


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Wait until it holds; what it raises means that it does not yet."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                if await holds():
                    return
            except (PyMongoError, RedisError, httpx.TransportError):
                pass
            await asyncio.sleep(0.05)


@asynccontextmanager
async def box(folder: Path) -> AsyncIterator[Box]:
    """A cluster that is up."""
    async with AsyncExitStack() as stack:
        forged = await stack.enter_async_context(forge())
        mongo_url, members = await stack.enter_async_context(replica_set(folder / "mongo", election_ms=ELECTION_MS))
        redis_url, valkey = await stack.enter_async_context(valkey_child(folder / "redis"))
        redis_line = await stack.enter_async_context(line(int(redis_url.rpartition(":")[2].partition("/")[0])))
        first = Cluster((mongo_url, redis_url), folder, **WAITS)
        first.forge = forged
        stack.push_async_callback(first.stop)
        made = Box(first, members, valkey, redis_line)
        made._clusters.append(first.beside())
        for name in (*SERVERS, *WORKERS):
            await made.start(name)
        for cluster in made._clusters:
            made.perches.append(await stack.enter_async_context(cluster.perch()))
        stack.callback(made.thaw)
        await made.repair()
        yield made

"""Perch as real processes: `python -m app serve` and `work`, started, killed and started again."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

import app
from datastore.settings import Settings
from tests.forked import Forge, Running
from tests.perch import PATIENCE_SECONDS, Perch, free_port

ROOT = Path(__file__).parent.parent
# A process imports everything and looks at every index: four of them took 40 s on two cores with a load of 15, and a
# minute with one of 30.
START_SECONDS = 12 * PATIENCE_SECONDS


class Cluster:
    """One server process and any number of workers, over given MongoDB and Redis. With a forge they start sooner."""

    def __init__(self, urls: tuple[str, str], folder: Path, **settings: str) -> None:
        self.folder = folder
        self.forge: Forge | None = None
        self.port = free_port()
        self._env = os.environ | {
            "MONGO_URL": urls[0],
            "REDIS_URL": urls[1],
            "MONGO_DATABASE": f"cluster_{self.port}",
            "DATA_DIR": str(folder),
            "PORT": str(self.port),
            "SECRET_KEY": "a secret for tests, long enough to sign with",
            "RATE_LIMITS": "off",
            "LEASE_SECONDS": "0.6",
            "SWEEP_SECONDS": "0.2",
            "DRAIN_IDLE_SECONDS": "0.2",
            "PURGE_LOOK_SECONDS": "0.1",
            "PURGE_AGAIN_SECONDS": "1",
            **settings,
        }
        self.started: list[Running] = []
        self._logs: dict[int, Path] = {}

    def beside(self) -> "Cluster":
        """Another server's place on the same MongoDB and Redis; nothing runs there yet."""
        other = Cluster((self._env["MONGO_URL"], self._env["REDIS_URL"]), self.folder)
        other._env, other.started = self._env | {"PORT": str(other.port)}, self.started
        other._logs, other.forge = self._logs, self.forge
        return other

    async def second_server(self) -> "Cluster":
        """Another server process on the same MongoDB and Redis; stopped with this cluster."""
        other = self.beside()
        await other.start("serve")
        return other

    async def start(self, command: str, *more: str, **settings: str) -> Running:
        """`python -m app COMMAND`; its output goes to a file of its own."""
        env, log = self._env | settings, self.folder / f"{command}.{len(self.started)}.log"
        process: Running
        if self.forge:
            process = await self.forge.start([command, *more], env, log)
        else:
            with log.open("wb") as file:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "app", command, *more, cwd=ROOT, env=env, stdout=file, stderr=file
                )
        self.started.append(process)
        self._logs[process.pid] = log
        return process

    def said(self, process: Running) -> str:
        """All that a process of this cluster has printed."""
        return self._logs[process.pid].read_text()

    def settings(self, **more: Any) -> Settings:
        """Those of the processes, as far as clients of the same stores need them."""
        return Settings(
            mongo_url=self._env["MONGO_URL"],
            redis_url=self._env["REDIS_URL"],
            mongo_database=self._env["MONGO_DATABASE"],
            secret_key=SecretStr(self._env["SECRET_KEY"]),
            **more,
        )

    @asynccontextmanager
    async def perch(self) -> AsyncIterator[Perch]:
        """The front door, once the server is ready."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE_SECONDS) as http:
            # The test's own client waits where a request would not.
            settings = self.settings(redis_timeout_ms=10_000)
            async with app.clients(settings) as clients:
                perch = Perch(str(http.base_url), settings, clients.mongo, clients.redis, http)
                async with asyncio.timeout(START_SECONDS):
                    while not await perch.is_ready():
                        await asyncio.sleep(0.05)
                yield perch

    async def stop(self) -> None:
        """End whatever still runs."""
        for process in self.started:
            if process.returncode is None:
                process.terminate()
        for process in self.started:
            try:
                await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()


async def kill(process: Running) -> None:
    """SIGKILL, and wait until it is gone."""
    process.send_signal(signal.SIGKILL)
    await process.wait()

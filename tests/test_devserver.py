"""Embedded servers and `make run`'s supervisor, with real processes: start, restart, stop, and what is in the way."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

import app
from datastore.devserver import mongod
from datastore.ownership import take
from datastore.processes import Child, DevServerError, Program, bind_error, is_ok, kept, listening
from datastore.settings import Settings
from realtime.devserver import servers, valkey

ROOT = Path(app.__file__).parent


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Returns when the condition holds; fails when it does not within the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)


def gone(processes: list[psutil.Process]) -> bool:
    """Whether they have all ended; nobody may be there to collect an orphan, so a zombie has ended too."""
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Another program on this port: it accepts nothing."""
    with socket.create_server(("127.0.0.1", port)):
        yield


def shell(tmp_path: Path, script: str, grace_seconds: float = 5) -> Program:
    return Program("script", ("/bin/sh", "-c", script), tmp_path / "script.log", grace_seconds=grace_seconds)


def client(url: str) -> AsyncMongoClient[dict[str, Any]]:
    return AsyncMongoClient(url, serverSelectionTimeoutMS=20_000)


# ---------------------------------------------------------------- children


async def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    child = Child(shell(tmp_path, "trap '' TERM; echo up; while :; do sleep 1; done", grace_seconds=0.2))
    await child.start()
    await until(lambda: "up" in (tmp_path / "script.log").read_text())
    await child.stop()
    assert child.pid is None
    assert await child.ended() == "SIGKILL"


async def test_a_dead_child_is_started_again_with_a_line_for_each_death(tmp_path: Path) -> None:
    said: list[str] = []
    child = Child(shell(tmp_path, "echo up; exec sleep 60"))
    await child.start()
    async with kept(child, said.append):
        first = child.pid or 0
        os.kill(first, signal.SIGKILL)
        await until(lambda: child.pid not in (None, first))
    assert child.pid is None
    assert len(said) == 1
    assert said[0].startswith("script ended (SIGKILL); starting it again in ")


async def test_a_server_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    async def never(_port: int, _pid: int) -> bool:
        return False

    with pytest.raises(DevServerError, match=r"^script does not start: no room left$"):
        await listening(tmp_path, lambda port: shell(tmp_path, "echo 'no room left' >&2; exit 1"), never)


def test_a_lock_is_held_by_one_and_a_file_left_behind_does_not_block(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1 somebody dead")
    held = take(tmp_path / "lock", "first")
    assert held is not None
    assert take(tmp_path / "lock", "second") is None
    held.close()
    again = take(tmp_path / "lock", "third")
    assert again is not None
    again.close()


# ---------------------------------------------------------------- mongod


async def test_mongod_keeps_port_and_data_and_its_directory_to_itself(tmp_path: Path) -> None:
    async with mongod(tmp_path) as first:
        async with client(first) as mongo:
            await mongo.perch.things.insert_one({"_id": 1})
        with pytest.raises(DevServerError, match="is in use by another mongod"):
            async with mongod(tmp_path):
                pass
    async with mongod(tmp_path) as second, client(second) as mongo:
        assert await mongo.perch.things.count_documents({}) == 1
    assert first == second


async def test_mongod_moves_when_its_port_is_taken_and_can_still_write(tmp_path: Path) -> None:
    async with mongod(tmp_path) as first:
        pass
    port = int((tmp_path / "port").read_text())
    # It hangs up at once: a listener that never answers costs mongod 30 s of asking whether that is itself.
    stranger = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
    async with stranger, mongod(tmp_path) as second, client(second) as mongo:
        assert second != first
        await mongo.perch.things.insert_one({"_id": 1})


async def test_a_killed_mongod_comes_back_on_its_port_with_what_it_had_acknowledged(tmp_path: Path) -> None:
    said: list[str] = []
    async with mongod(tmp_path, said.append) as url, client(url) as mongo:
        await mongo.perch.things.insert_one({"_id": 1})
        # mongod.lock holds its pid and stays behind: the second start recovers from it.
        os.kill(int((tmp_path / "mongod.lock").read_text()), signal.SIGKILL)
        await until(lambda: bool(said))
        assert await mongo.perch.things.count_documents({}) == 1
    assert len(said) == 1


# ---------------------------------------------------------------- valkey


async def test_valkey_has_the_settings_and_keeps_streams_over_a_restart(tmp_path: Path) -> None:
    async with valkey(tmp_path) as first, Redis.from_url(first) as redis:
        assert await redis.xadd("events:0", {"id": "1"})
        held = await redis.config_get("*")
    expected = {
        "bind": "127.0.0.1",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "unixsocket": "",
        "save": "",
    }
    assert {name: held[name] for name in expected} == expected
    async with valkey(tmp_path) as second, Redis.from_url(second) as redis:
        assert await redis.xlen("events:0") == 1
    assert first == second


async def test_valkey_moves_when_its_port_is_taken(tmp_path: Path) -> None:
    async with valkey(tmp_path) as first:
        pass
    with taken(int((tmp_path / "port").read_text())):
        async with valkey(tmp_path) as second, Redis.from_url(second) as redis:
            assert second != first
            assert await redis.set("a", "b")


# ---------------------------------------------------------------- make run


def name_of(process: psutil.Process) -> str:
    """The command of a `python -m app COMMAND`, else the program; empty once it is dead."""
    try:
        first, *rest = process.cmdline()
    except (psutil.NoSuchProcess, ValueError):  # a zombie has no command line
        return ""
    return rest[-1] if "app" in rest else Path(first.split()[0]).name


@dataclass
class Dev:
    """A running `python -m app dev` and what it printed."""

    process: asyncio.subprocess.Process
    data_dir: Path
    port: int
    lines: list[str] = field(default_factory=list)

    def children(self) -> dict[str, psutil.Process]:
        """Its living children by what they are: mongod, valkey-server, serve, work. One of each."""
        return dict(self.family())

    def family(self) -> list[tuple[str, psutil.Process]]:
        """All of them, in the order in which they were started."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [(name, process) for process in found if (name := name_of(process))]

    def pid(self, name: str) -> int | None:
        found = self.children().get(name)
        return found.pid if found else None

    async def read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            self.lines.append(line.decode())


def embedded(data_dir: Path) -> Settings:
    """Settings without URLs, whatever the environment says."""
    return Settings(data_dir=data_dir, mongo_url="", redis_url="")


def environment(data_dir: Path, port: int) -> dict[str, str]:
    kept_names = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    return kept_names | {"DATA_DIR": str(data_dir), "PORT": str(port), "SEED": "off"}


@asynccontextmanager
async def dev(data_dir: Path, port: int, **settings: str) -> AsyncIterator[Dev]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "dev"),
        cwd=ROOT,
        env=environment(data_dir, port) | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    running = Dev(process, data_dir, port)
    reader = asyncio.create_task(running.read())
    try:
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await reader


async def up(running: Dev) -> None:
    await until(lambda: running.process.returncode is not None or any("Perch is up" in line for line in running.lines))
    assert running.process.returncode is None, "".join(running.lines)


async def ready(port: int) -> None:
    deadline = time.monotonic() + 30
    while not await is_ok("127.0.0.1", port, "/readyz"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def refusal(data_dir: Path, port: int) -> tuple[int, list[str]]:
    """Exit code and lines of a `dev` that does not start."""
    async with dev(data_dir, port) as running:
        code = await asyncio.wait_for(running.process.wait(), 30)
    return code, running.lines


async def test_make_run_keeps_everything_up_and_stops_it_all(tmp_path: Path) -> None:
    port = free_port()
    async with dev(tmp_path, port) as running:
        await up(running)
        await ready(port)
        started = running.children()
        assert set(started) == {"mongod", "valkey-server", "serve", "work"}

        published = json.loads((tmp_path / "run.json").read_text())
        assert (published["pid"], published["port"]) == (running.process.pid, port)
        async with servers(embedded(tmp_path), "a test") as found:
            assert found == (published["mongo_url"], published["redis_url"])

        code, lines = await refusal(tmp_path, free_port())
        assert (code, len(lines)) == (1, 1)
        assert f"is in use by `make run` (process {running.process.pid})" in lines[0]

        for name in ("work", "serve", "valkey-server"):
            os.kill(started[name].pid, signal.SIGKILL)
            await until(lambda: running.pid(name) not in (None, started[name].pid))  # noqa: B023
        await ready(port)

        last = list(running.children().values())
        running.process.send_signal(signal.SIGINT)
        running.process.send_signal(signal.SIGINT)  # an impatient second Ctrl-C changes nothing
        assert await asyncio.wait_for(running.process.wait(), 20) == 0
        assert gone(last)
    assert not (tmp_path / "run.json").exists()
    assert "Traceback" not in "".join(running.lines)
    assert sum("starting it again" in line for line in running.lines) == 3
    assert running.lines[-1] == "perch: stopped\n"


async def test_a_killed_make_run_leaves_no_process_and_nothing_that_blocks_the_next(tmp_path: Path) -> None:
    port = free_port()
    async with dev(tmp_path, port) as first:
        await up(first)
        before = (tmp_path / "run.json").read_text()
        left = list(first.children().values())
        first.process.kill()
        await first.process.wait()
        assert (tmp_path / "run.json").exists()  # stale now
    async with dev(tmp_path, port) as second:  # at once: it waits for servers that are still closing their files
        await up(second)
        await until(lambda: gone(left), 5)
        after = json.loads((tmp_path / "run.json").read_text())
        second.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(second.process.wait(), 20) == 0
    assert after | {"pid": 0} == json.loads(before) | {"pid": 0}


async def test_a_taken_port_is_one_line_and_starts_nothing(tmp_path: Path) -> None:
    port = free_port()
    with taken(port):
        code, lines = await refusal(tmp_path, port)
    assert code == 1
    assert lines == [f"perch: port {port} is taken by another program; run with PORT={port + 1}\n"]
    assert not (tmp_path / "mongo").exists()


@pytest.mark.parametrize("line", ["starting MongoDB", "starting the worker"])
async def test_ctrl_c_while_it_starts_stops_what_was_started(tmp_path: Path, line: str) -> None:
    async with dev(tmp_path, free_port()) as running:
        await until(lambda: any(line in said for said in running.lines))
        started = psutil.Process(running.process.pid).children(recursive=True)
        running.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(running.process.wait(), 30) == 0
        assert gone(started)
    assert "Traceback" not in "".join(running.lines)


async def test_without_make_run_a_command_has_servers_of_its_own_for_its_duration(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"pid": 1, "host": "", "port": 1, "mongo_url": "", "redis_url": ""}')  # stale
    async with servers(embedded(tmp_path), "a test") as (mongo_url, redis_url):
        async with client(mongo_url) as mongo, Redis.from_url(redis_url) as redis:
            await mongo.perch.things.insert_one({"_id": 1})
            assert await redis.set("a", "b")
        with pytest.raises(DevServerError, match="is in use by `a test`"):
            async with servers(embedded(tmp_path), "another"):
                pass
    assert bind_error("127.0.0.1", int(redis_url.rpartition(":")[2].partition("/")[0])) is None


async def test_urls_that_are_given_win_and_nothing_is_started(tmp_path: Path) -> None:
    mongo_url, redis_url = "mongodb://db.example/", "redis://cache.example/0"
    given = Settings(data_dir=tmp_path / "data", mongo_url=mongo_url, redis_url=redis_url)
    async with servers(given, "a test") as found:
        assert found == (mongo_url, redis_url)
    assert not (tmp_path / "data").exists()

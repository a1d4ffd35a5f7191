"""An import that crashes, dies or has company: running it again gives exactly what one run would have."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from datastore import import_writes, importer
from datastore.follows import Follows
from datastore.mongo import Mongo
from tests.datastore.importing import NOW_MS, assert_exact, edges_file, edges_of, load, power_law, write

ROOT = Path(importer.__file__).parents[1]


class Breaking:
    """A collection whose `method` raises at its call number `at`, before or after it has done its work."""

    def __init__(self, collection: Any, method: str, at: int, after: bool) -> None:
        self._collection, self._method, self._left, self._after = collection, method, at, after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._collection, name)
        return self._breaking(found) if name == self._method else found

    def _breaking(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def broken(*args: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left or self._after:
                done = await call(*args, **options)
            if not self._left:
                raise ConnectionError("the lights went out")
            return done

        return broken


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("collection", "method", "at"),
    [("users", "insert_many", 3), ("follows", "insert_many", 4), ("users", "bulk_write", 5), ("users", "bulk_write", 6),
     ("tweets", "insert_many", 2), ("tweets", "bulk_write", 2), ("names", "insert_many", 2),
     ("import_keys", "insert_many", 2), ("repliers", "insert_many", 2)],
)  # fmt: skip
async def test_a_crash_anywhere_is_made_good_by_running_again(
    mongo: Mongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collection: str, method: str, at: int, after: bool
) -> None:
    monkeypatch.setattr(importer, "BATCH_ROWS", 40)
    edges = power_law(400, 120)
    rows = [(str(at), f"u{at % 9}", f"text {at}", str(at - 1) if at % 3 else "") for at in range(200)]
    files = {
        "follows": edges_file(tmp_path, edges),
        "tweets": write(tmp_path / "tweets.csv", "id,author,text,in_reply_to", rows),
    }
    whole = getattr(mongo, collection)
    monkeypatch.setattr(mongo, collection, Breaking(whole, method, at, after))
    with pytest.raises(ConnectionError):
        await load(mongo, **files)
    monkeypatch.setattr(mongo, collection, whole)
    await assert_exact(mongo)
    again = await load(mongo, **files)
    assert again["follows"].added + again["follows"].present == 400
    assert await edges_of(mongo) == set(edges)
    assert await mongo.tweets.count_documents({}) == 200
    await assert_exact(mongo)


_CHILD = """
import asyncio, sys
from pathlib import Path
from datastore import importer
from datastore.mongo import Mongo

async def main(url, database, path):
    async def touched(readers): pass
    importer.BATCH_ROWS = 100
    say = lambda kind, done, total: print(done, flush=True)
    await importer.run(Mongo(url, database), now_ms=%d, follows=Path(path), progress=say, touched=touched)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_sigkill_midway_is_made_good_by_running_again(mongo: Mongo, mongo_url: str, tmp_path: Path) -> None:
    edges = power_law(5000, 900)
    path = edges_file(tmp_path, edges)
    command = (sys.executable, "-c", _CHILD % NOW_MS, mongo_url, mongo.db.name, str(path))
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert child.stdout
    for _ in range(7):
        assert await child.stdout.readline()
    os.kill(child.pid, signal.SIGKILL)
    await child.wait()
    assert 600 < await mongo.follows.count_documents({}) < 5000
    counts = await load(mongo, follows=path)
    assert counts["follows"].present > 600
    assert await edges_of(mongo) == set(edges)
    await assert_exact(mongo)


async def test_two_imports_at_once_add_each_row_once(
    mongo: Mongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "BATCH_ROWS", 50)
    follows = edges_file(tmp_path, power_law(600, 200))
    rows = [(f"u{at % 20}", f"text {at}", "2012-05-01") for at in range(300)]
    files = {"follows": follows, "tweets": write(tmp_path / "tweets.csv", "author,text,created_at", rows)}
    one, two = await asyncio.gather(load(mongo, **files), load(mongo, **files))
    assert one["follows"].added + two["follows"].added == 600
    assert one["tweets"].added + two["tweets"].added == 300
    await assert_exact(mongo)


async def test_people_may_follow_while_an_import_runs(
    mongo: Mongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "BATCH_ROWS", 50)
    edges = power_law(800, 60)
    names = [(f"u{number}",) for number in range(60)]
    await load(mongo, users=write(tmp_path / "users.csv", "username", names))
    people = {doc["username"]: doc["_id"] async for doc in mongo.users.find()}

    async def follow() -> None:
        for follower, author in Random(1).sample(edges, 300):
            await Follows(mongo).add(people[follower], people[author], NOW_MS)

    await asyncio.gather(load(mongo, follows=edges_file(tmp_path, edges)), follow())
    assert await edges_of(mongo) == set(edges)
    await assert_exact(mongo)


async def test_names_are_looked_up_again_when_the_cache_is_small(
    mongo: Mongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_writes, "CACHED_NAMES", 10)
    monkeypatch.setattr(importer, "BATCH_ROWS", 20)
    edges = power_law(300, 80)
    assert (await load(mongo, follows=edges_file(tmp_path, edges)))["follows"].added == 300
    assert await edges_of(mongo) == set(edges)
    await assert_exact(mongo)

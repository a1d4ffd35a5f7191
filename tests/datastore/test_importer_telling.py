"""Whom the importer tells of changed timelines, and how it tells its progress."""

import os
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from datastore import importer
from datastore.importer import ImportStopped
from datastore.mongo import Mongo
from tests.datastore.importing import edges_file, load, power_law, write


async def test_followers_are_told_once_their_follows_are_written(
    mongo: Mongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "BATCH_ROWS", 50)
    edges = power_law(300, 80)
    told: set[int] = set()

    async def touched(readers: Collection[int]) -> None:
        for reader in readers:
            assert await mongo.follows.find_one({"_id.f": reader})
        told.update(readers)

    path = edges_file(tmp_path, edges)
    await load(mongo, follows=path, touched=touched)
    everybody = {doc["_id"]["f"] async for doc in mongo.follows.find()}
    assert told == everybody
    told.clear()
    await load(mongo, follows=path, touched=touched)
    assert told == everybody, "an earlier run may have died before telling"


async def test_authors_and_their_followers_are_told_of_imported_tweets(
    mongo: Mongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "TOUCHED_AT_ONCE", 2)
    await load(
        mongo, follows=edges_file(tmp_path, [*[(f"u{at}", "ana") for at in range(5)], ("ana", "ben"), ("u1", "cat")])
    )
    told: list[list[int]] = []

    async def touched(readers: Collection[int]) -> None:
        assert await mongo.tweets.count_documents({}) == 2
        told.append(list(readers))

    rows = [("ana", "hello"), ("dan", "hi"), ("a b", "bad"), ("cat", "late")]
    with pytest.raises(ImportStopped):
        await load(mongo, tweets=write(tmp_path / "t.csv", "author,text", rows), touched=touched, on_error="stop")
    names = {doc["_id"]: doc["username"] async for doc in mongo.users.find()}
    assert sorted(names[reader] for chunk in told for reader in chunk) == ["ana", "dan", "u0", "u1", "u2", "u3", "u4"]
    assert max(map(len, told)) == 2


# Progress


async def test_progress_is_told_in_bytes_of_the_file(mongo: Mongo, tmp_path: Path) -> None:
    path = edges_file(tmp_path, power_law(5000, 900), "follows.csv.gz")
    steps: list[tuple[str, int, int | None]] = []
    await load(mongo, follows=path, progress=lambda *step: steps.append(step))
    assert steps[-1] == ("follows", path.stat().st_size, path.stat().st_size)
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)


async def test_a_pipe_is_read_too_and_has_no_total(mongo: Mongo) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"follower,followee\nana,ben\n")
    os.close(writing)
    steps: list[tuple[str, int, int | None]] = []
    try:
        pipe = Path(f"/dev/fd/{reading}")
        counts = await load(mongo, follows=pipe, progress=lambda *step: steps.append(step))
    finally:
        os.close(reading)
    assert counts["follows"].added == 1
    assert steps[-1] == ("follows", 0, None)


def test_the_progress_bar_shows_what_it_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with importer.progress_bar() as show:
        show("follows", 500, 1000)
        show("follows", 1000, 1000)
    shown = capsys.readouterr().err
    assert "follows" in shown
    assert "100%" in shown


def test_the_progress_bar_is_silent_where_nothing_can_draw_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with importer.progress_bar() as show:
        show("follows", 500, 1000)
    assert capsys.readouterr().err == ""

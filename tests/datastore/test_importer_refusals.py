"""Bad rows: each is counted and told with its line, and stops the import where that was asked for."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastore import importer
from datastore.importer import ImportStopped
from datastore.indexes import INDEXES
from datastore.mongo import Mongo
from tests.datastore.importing import Rows, assert_exact, edges_file, edges_of, load, power_law, write


async def test_bad_rows_are_counted_and_the_first_twenty_told(mongo: Mongo, tmp_path: Path) -> None:
    rows = [("ana", "ben"), ("a b", "ben"), ("ana", "Ana"), ("", "ben"), *[("ana", "ö")] * 30, ("ben", "ana")]
    counts = (await load(mongo, follows=edges_file(tmp_path, rows)))["follows"]
    assert (counts.read, counts.added, counts.bad) == (35, 2, 33)
    assert counts.errors[:4] == [
        'follows.csv:3: follower "a b" is not a username',
        'follows.csv:4: "ana" cannot follow themselves',
        "follows.csv:5: follower is empty",
        'follows.csv:6: followee "ö" is not a username',
    ]
    assert len(counts.errors) == 20


async def test_stop_ends_at_the_first_bad_row_with_those_before_it_written(
    mongo: Mongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "BATCH_ROWS", 4)
    rows = [(f"u{number}", "ana") for number in range(6)] + [("a b", "ana"), ("late", "ana")]
    with pytest.raises(ImportStopped) as stopped:
        await load(mongo, follows=edges_file(tmp_path, rows), on_error="stop")
    assert str(stopped.value) == 'follows.csv:8: follower "a b" is not a username'
    assert stopped.value.counts["follows"].added == 6
    assert await edges_of(mongo) == set(rows[:6])
    await assert_exact(mongo)


async def test_stop_also_ends_at_a_row_that_only_the_store_can_refuse(mongo: Mongo, tmp_path: Path) -> None:
    rows = [("1", "ana", "hello", ""), ("2", "ben", "hi", "404"), ("3", "cat", "late", ""), ("4", "a b", "bad", "")]
    path = write(tmp_path / "t.csv", "id,author,text,in_reply_to", rows)
    with pytest.raises(ImportStopped, match=r't.csv:3: in_reply_to "404" was not imported before'):
        await load(mongo, tweets=path, on_error="stop")
    assert [doc["text"] async for doc in mongo.tweets.find()] == ["hello"]
    await assert_exact(mongo)


async def test_wrong_columns_of_any_file_stop_the_import_before_it_begins(mongo: Mongo, tmp_path: Path) -> None:
    follows = edges_file(tmp_path, [("ana", "ben")])
    for tweets in (write(tmp_path / "t.csv", "writer,text", [("ana", "hello")]), tmp_path / "absent.csv"):
        with pytest.raises(ImportStopped, match=r"column author is missing|No such file"):
            await load(mongo, follows=follows, tweets=tweets)
    assert await mongo.users.count_documents({}) == 0


async def test_a_truncated_file_is_one_bad_row_after_all_that_is_whole(mongo: Mongo, tmp_path: Path) -> None:
    path = edges_file(tmp_path, power_law(3000, 400), "follows.csv.gz")
    path.write_bytes(path.read_bytes()[:-2000])
    counts = (await load(mongo, follows=path))["follows"]
    assert counts.bad == 1
    assert "the file is damaged from here on" in counts.errors[0]
    assert counts.added == counts.read - 1 == await mongo.follows.count_documents({})
    await assert_exact(mongo)


_NAME = st.sampled_from(["ana", "Ben", "cat", "dan", "a b", "", "x" * 16, "ö"])
_ROWS = st.lists(
    st.tuples(
        st.sampled_from(["", "1", "2", "3"]),
        _NAME,
        st.sampled_from(["hello", "", "x" * 141, "a\x07"]),
        st.sampled_from(["", "2012-05-01", "soon"]),
        st.sampled_from(["", "1", "2", "9"]),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tweets=_ROWS, follows=st.lists(st.tuples(_NAME, _NAME), max_size=12), batch=st.integers(1, 6))
async def test_every_row_is_added_present_or_bad_and_a_second_run_adds_none(
    mongo: Mongo, tmp_path: Path, tweets: Rows, follows: Rows, batch: int
) -> None:
    for name in INDEXES:
        await mongo.db[name].delete_many({})
    files = {
        "follows": edges_file(tmp_path, follows),
        "tweets": write(tmp_path / "tweets.csv", "id,author,text,created_at,in_reply_to", tweets),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importer, "BATCH_ROWS", batch)
        first, second = await load(mongo, **files), await load(mongo, **files)
    for kind, rows in (("follows", follows), ("tweets", tweets)):
        assert first[kind].read == len(rows)
        assert first[kind].added + first[kind].present + first[kind].bad == len(rows)
        # A reply that comes before what it answers is bad at first, and good once that is there.
        assert second[kind].added <= first[kind].bad
    await assert_exact(mongo)

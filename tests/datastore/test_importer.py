"""What an import adds and what it leaves as it is, on a real mongod."""

import json
from pathlib import Path

from datastore import ids
from datastore.mongo import Mongo
from datastore.records import ImportCounts
from datastore.tweets import Tweets
from datastore.users import Users
from tests.datastore.importing import NOW_MS, assert_exact, edges_file, edges_of, everything, load, power_law, write


async def test_a_power_law_graph_is_loaded_with_exact_counters(mongo: Mongo, tmp_path: Path) -> None:
    edges = power_law(8_000, 2_500)
    counts = await load(mongo, follows=edges_file(tmp_path, edges, "follows.csv.gz"))
    assert counts == {"follows": ImportCounts(read=8_000, added=8_000)}
    assert await edges_of(mongo) == set(edges)
    await assert_exact(mongo)


async def test_a_second_import_changes_nothing(mongo: Mongo, tmp_path: Path) -> None:
    files = {
        "users": write(
            tmp_path / "users.csv", "username,email,created_at", [("ana", "ana@perch.example", ""), ("ben", "", "")]
        ),
        "follows": edges_file(tmp_path, [*power_law(300, 50), ("ana", "ben")]),
        "tweets": write(
            tmp_path / "tweets.csv",
            "id,author,text,in_reply_to",
            [
                ("1", "ana", "hello", ""),
                ("", "ben", "no id", ""),
                ("2", "cat", "hi", "1"),
            ],
        ),
    }
    first = await load(mongo, **files)
    before = await everything(mongo)
    second = await load(mongo, **files, now_ms=NOW_MS + 86_400_000)
    assert [counts.added for counts in first.values()] == [2, 301, 3]
    assert [(counts.added, counts.present) for counts in second.values()] == [(0, 2), (0, 301), (0, 3)]
    assert await everything(mongo) == before


async def test_all_that_is_imported_says_so_and_has_no_password(mongo: Mongo, tmp_path: Path) -> None:
    tweets = write(tmp_path / "tweets.csv", "author,text", [("cat", "hello")])
    users = write(tmp_path / "users.csv", "username,email", [("ana", "ana@perch.example")])
    await load(mongo, users=users, follows=edges_file(tmp_path, [("ana", "ben")]), tweets=tweets)
    store = await everything(mongo)
    assert [len(store[name]) for name in ("users", "follows", "tweets")] == [3, 1, 1]
    assert all(doc["imported"] is True for docs in store.values() for doc in docs)
    assert not any("password" in doc for doc in store["users"])


async def test_people_keep_what_the_file_says_of_them(mongo: Mongo, tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    person = {"username": "Ana_1", "display_name": "Ana", "bio": "Baker.", "email": "Ana@perch.example"}
    path.write_text(json.dumps(person | {"created_at": "2012-05-01T10:00:00Z"}) + '\n{"username": "ben"}\n')
    await load(mongo, users=path)
    account = await Users(mongo).account_by_login("ana@PERCH.example")
    assert account is not None
    assert (account.user.username, account.user.display_name, account.user.bio) == ("Ana_1", "Ana", "Baker.")
    assert account.user.created_at.isoformat() == "2012-05-01T10:00:00+00:00"
    ben = await Users(mongo).by_username("ben")
    assert ben is not None
    assert (ben.display_name, ben.bio) == ("ben", "")


async def test_who_has_an_account_already_keeps_it(mongo: Mongo, tmp_path: Path) -> None:
    ana = await Users(mongo).add("Ana", "ana@perch.example", "hash", "Ana herself", NOW_MS)
    users = write(tmp_path / "users.csv", "username,display_name", [("ana", "Another")])
    counts = await load(mongo, users=users, follows=edges_file(tmp_path, [("ANA", "ben")]))
    assert (counts["users"].present, counts["follows"].added) == (1, 1)
    kept = await Users(mongo).account(ana.user.id)
    assert kept is not None
    assert (kept.user.display_name, kept.password_hash, kept.user.following_count) == ("Ana herself", "hash", 1)


async def test_an_email_address_of_somebody_else_is_a_bad_row(mongo: Mongo, tmp_path: Path) -> None:
    rows = [("ana", "one@perch.example"), ("ben", "ONE@perch.example"), ("cat", "no address"), ("dan", "")]
    counts = (await load(mongo, users=write(tmp_path / "users.csv", "username,email", rows)))["users"]
    assert (counts.added, counts.bad) == (2, 2)
    assert counts.errors == [
        "users.csv:3: the email address belongs to another account",
        "users.csv:4: email: This is not an email address.",
    ]


async def test_thousands_who_joined_on_one_day_all_find_an_id(mongo: Mongo, tmp_path: Path) -> None:
    rows = [(f"u{number}", "2012-05-01") for number in range(6000)]
    counts = await load(mongo, users=write(tmp_path / "users.csv", "username,created_at", rows))
    assert counts["users"].added == await mongo.users.count_documents({}) == 6000


async def test_tweets_keep_their_time_their_text_and_what_they_answer(mongo: Mongo, tmp_path: Path) -> None:
    rows = [
        ("9", "ana", "  Cafe\u0301\r\nau lait ", "1335867630", ""),
        ("8", "ben", "same here", "2012-05-01T11:00:00Z", "9"),
        ("7", "ana", "and I", "2012-05-01T12:00:00Z", "8"),
    ]
    counts = await load(mongo, tweets=write(tmp_path / "t.csv", "id,author,text,created_at,in_reply_to", rows))
    assert counts["tweets"].added == 3
    by_key = {doc["import_key"]: doc async for doc in mongo.tweets.find()}
    first, second, third = await Tweets(mongo).get_many([by_key[f"id:{key}"]["_id"] for key in (9, 8, 7)])
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.text == "  Café\nau lait "
    assert ids.at_ms(first.id) == 1_335_867_630_000
    assert (second.in_reply_to_id, second.reply_author_id) == (first.id, first.author_id)
    assert (third.in_reply_to_id, third.reply_author_id) == (second.id, second.author_id)
    await assert_exact(mongo)


async def test_a_tweet_answers_one_of_an_earlier_file_but_never_a_later_one(mongo: Mongo, tmp_path: Path) -> None:
    header = "id,author,text,in_reply_to"
    await load(mongo, tweets=write(tmp_path / "one.csv", header, [("1", "ana", "hello", "")]))
    rows = [("2", "ben", "hi", "1"), ("3", "cat", "to whom?", "4"), ("4", "dan", "here", "")]
    counts = (await load(mongo, tweets=write(tmp_path / "two.csv", header, rows)))["tweets"]
    assert (counts.added, counts.bad) == (2, 1)
    assert counts.errors == ['two.csv:3: in_reply_to "4" was not imported before']
    await assert_exact(mongo)


async def test_without_an_id_author_time_and_text_make_a_tweet_the_same(mongo: Mongo, tmp_path: Path) -> None:
    rows = [
        ("ana", "a", "5"),
        ("ANA", "a", "5"),
        ("ana", "b", "5"),
        ("ben", "a", "5"),
        ("ana", "a", "6"),
        ("ana", "a", ""),
    ]
    rows = [(author, text, f"133586763{at}" if at else "") for author, text, at in rows]
    counts = await load(mongo, tweets=write(tmp_path / "t.csv", "author,text,created_at", rows))
    assert (counts["tweets"].added, counts["tweets"].present) == (5, 1)


async def test_a_deleted_tweet_stays_deleted(mongo: Mongo, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "id,author,text", [("1", "ana", "oops")])
    await load(mongo, tweets=path)
    doc = await mongo.tweets.find_one()
    assert doc
    await Tweets(mongo).remove(doc["author"], doc["_id"])
    assert (await load(mongo, tweets=path))["tweets"].present == 1
    assert await Tweets(mongo).get(doc["_id"]) is None


async def test_tweets_of_one_moment_move_on_by_a_millisecond(mongo: Mongo, tmp_path: Path) -> None:
    rows = [(str(number), "ana", f"text {number}", "2012-05-01") for number in range(3000)]
    counts = await load(mongo, tweets=write(tmp_path / "t.csv", "id,author,text,created_at", rows))
    assert counts["tweets"].added == 3000
    times = sorted([ids.at_ms(doc["_id"]) - 1_335_830_400_000 async for doc in mongo.tweets.find()])
    assert times[:4] == [0, 0, 1, 1]
    assert times[-1] < 60_000, "a day's tweets stay in their minute"

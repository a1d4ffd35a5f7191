"""Popularity: what bulk writers leave is what the edges say, as if everything had been written one by one."""

from collections.abc import Iterable
from pathlib import Path

from datastore import demo_world, importer, popularity
from datastore.mongo import Doc, Mongo

NOW_MS = 1_780_000_000_000


async def assert_weighed(mongo: Mongo) -> list[Doc]:
    """Each tweet's engagement and place are those of its edges; gives the tweets."""
    tweets = {doc["_id"]: doc async for doc in mongo.tweets.find()}
    engaged: dict[int, set[tuple[str, int]]] = {key: set() for key in tweets}
    async for like in mongo.likes.find():
        engaged[like["_id"]["t"]].add(("like", like["_id"]["u"]))
    for doc in tweets.values():
        if doc["is_reply"]:
            engaged[doc["reply_to"]].add(("reply", doc["author"]))
    for key, doc in tweets.items():
        others = [edge for edge in engaged[key] if edge[1] != doc["author"]]
        assert doc["engagement"] == len(others), doc
        places = {field: doc[field] for field in popularity.FIELDS.values() if field in doc}
        assert places == popularity.places(key, len(others), doc["author_followers"])
    return list(tweets.values())


async def test_the_demo_world_is_weighed_with_its_authors_present_followers(mongo: Mongo) -> None:
    await demo_world.plant(mongo, "a hash", NOW_MS)
    docs = await assert_weighed(mongo)
    followers = {doc["_id"]: doc["followers"] async for doc in mongo.users.find()}
    assert all(doc["author_followers"] == followers[doc["author"]] for doc in docs)
    assert sum(popularity.FIELDS[window] in doc for doc in docs for window in popularity.FIELDS) > 300


async def nobody(_: Iterable[int]) -> None:
    """Where no timeline has to be told."""


async def test_imported_answers_count_once_for_each_author_over_all_runs(mongo: Mongo, tmp_path: Path) -> None:
    def file(name: str, *lines: str) -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    follows = file("follows.csv", "follower,followee", "bob,ann", "cat,ann")
    answers = [f"{author},answer {n},{author}{n},t" for author in ("ann", "bob", "cat", "dan", "eve") for n in (1, 2)]
    first = file("1.csv", "author,text,id,in_reply_to", "ann,hello,t,", *answers)
    second = file("2.csv", "author,text,id,in_reply_to", "bob,more,m,t", "fay,new,n,t", *answers)
    for tweets, expected in ((first, 4), (second, 5), (second, 5)):
        await importer.run(mongo, now_ms=NOW_MS, follows=follows, tweets=tweets, touched=nobody)
        docs = await assert_weighed(mongo)
        (tweet,) = [doc for doc in docs if doc.get("import_key") == "id:t"]
        assert (tweet["engagement"], tweet["author_followers"]) == (expected, 2)
        assert await mongo.repliers.count_documents({"_id.t": tweet["_id"]}) == expected

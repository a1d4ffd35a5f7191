"""What the tests of the importer share: files to import, the whole store, and the check that counters are exact."""

import csv
import gzip
import io
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from random import Random
from typing import Any

from datastore import importer
from datastore.mongo import Doc, Mongo
from datastore.records import ImportCounts

NOW_MS = 1_780_000_000_000
Rows = Sequence[Sequence[str]]


async def nobody(readers: Collection[int]) -> None:
    """No timelines to drop."""


async def load(mongo: Mongo, **options: Any) -> dict[str, ImportCounts]:
    asked: dict[str, Any] = {"now_ms": NOW_MS, "on_error": "skip", "touched": nobody} | options
    return await importer.run(mongo, **asked)


def write(path: Path, header: str, rows: Rows) -> Path:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([header.split(","), *rows])
    content = file.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def power_law(count: int, people: int, seed: int = 7) -> list[tuple[str, str]]:
    """Distinct follows; few are followed by many."""
    random = Random(seed)
    names = [f"u{number}" for number in range(people)]
    fame = [1 / (rank + 1) for rank in range(people)]
    edges: dict[tuple[str, str], None] = {}
    while len(edges) < count:
        for follower, author in zip(random.choices(names, k=count), random.choices(names, fame, k=count), strict=True):
            if follower != author and len(edges) < count:
                edges[follower, author] = None
    return list(edges)


def edges_file(folder: Path, edges: Rows, name: str = "follows.csv") -> Path:
    return write(folder / name, "follower,followee", edges)


async def everything(mongo: Mongo) -> dict[str, list[Doc]]:
    collections = ("users", "follows", "tweets", "likes")
    return {name: [doc async for doc in mongo.db[name].find().sort("_id", 1)] for name in collections}


async def edges_of(mongo: Mongo) -> set[tuple[str, str]]:
    names = {doc["_id"]: doc["username"] async for doc in mongo.users.find()}
    return {(names[doc["_id"]["f"]], names[doc["_id"]["a"]]) async for doc in mongo.follows.find()}


async def assert_exact(mongo: Mongo) -> None:
    """Every counter is the number of its edges."""
    store = await everything(mongo)
    followers = Counter(doc["_id"]["a"] for doc in store["follows"])
    following = Counter(doc["_id"]["f"] for doc in store["follows"])
    written = Counter(doc["author"] for doc in store["tweets"])
    replies = Counter(doc.get("reply_to") for doc in store["tweets"])
    for doc in store["users"]:
        key = doc["_id"]
        assert (doc["followers"], doc["following"], doc["tweets"]) == (followers[key], following[key], written[key])
    assert all(doc["replies"] == replies[doc["_id"]] for doc in store["tweets"])
    await assert_reserved(mongo, store)


async def assert_reserved(mongo: Mongo, store: dict[str, list[Any]]) -> None:
    """Everything that one document alone may have is reserved for it, and nothing else is."""
    kinds = (("names", "users", "name_key"), ("emails", "users", "email_key"), ("import_keys", "tweets", "import_key"))
    for name, collection, field in kinds:
        stated = {doc["_id"]: doc["of"] async for doc in mongo.db[name].find()}
        assert stated == {doc[field]: doc["_id"] for doc in store[collection] if field in doc}, name
    answers = [doc for doc in store["tweets"] if doc["is_reply"] and doc["reply_author"] != doc["author"]]
    repliers = Counter((doc["reply_to"], doc["author"]) for doc in answers)
    assert {(doc["_id"]["t"], doc["_id"]["a"]): doc["n"] async for doc in mongo.repliers.find()} == repliers

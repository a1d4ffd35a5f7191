"""Shards: which collection is spread over a sharded cluster by which key, what is still in the way of it, and the
commands. Runs them when asked; moves no document itself.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from datastore.indexes import INDEXES
from datastore.mongo import Doc, Mongo

Key = dict[str, int | str]
# One shard finds a tweet by its id, and all of an author's: the id holds the author's bucket.
BY_AUTHOR: Key = {"bucket": 1, "_id": 1}
# Each by its id, wherever that leads; the newest are not all in one place.
ANYWHERE: Key = {"_id": "hashed"}
# The _id is (owner, ...): what one owner has is side by side, and asked for by ranges.
BY_OWNER: Key = {"_id": 1}


@dataclass(frozen=True, slots=True)
class Spread:
    """A collection, its shard key, and why that one."""

    collection: str
    key: Key
    why: str

    @property
    def in_the_way(self) -> list[str]:
        """Its unique indexes that do not begin with the key: a sharded cluster has no such thing, so each has to become
        a collection of its own whose _id is that value."""
        fields = list(self.key)
        unique = [[field for field, _ in keys] for keys, options in INDEXES[self.collection] if options.get("unique")]
        return [", ".join(index) for index in unique if index[: len(fields)] != fields]


# The others (system) are small, and stay where the database begins.
PLAN = [
    Spread("tweets", BY_AUTHOR, "an author's tweets and any tweet by its id are on one shard"),
    Spread("retweets", BY_AUTHOR, "likewise, by who retweeted"),
    Spread("users", ANYWHERE, "people are read by id"),
    Spread("names", ANYWHERE, "by name, when somebody signs up"),
    Spread("emails", ANYWHERE, "likewise, by address"),
    Spread("retweet_pairs", BY_OWNER, "by (author, tweet), of one author side by side"),
    Spread("repliers", ANYWHERE, "by (tweet, replier)"),
    Spread("import_keys", ANYWHERE, "by key, during an import"),
    Spread("follows", BY_OWNER, "fan-out walks the followers of one author"),
    Spread("likes", ANYWHERE, "of a page's tweets, by (tweet, user)"),
    Spread("blocks", BY_OWNER, "what one person hides"),
    Spread("sessions", ANYWHERE, "by id, with every request"),
    Spread("idempotency", ANYWHERE, "by (author, key)"),
    Spread("trails", ANYWHERE, "by entry"),
]


class NoRouterError(Exception):
    """What answers is no mongos: there is nothing to spread over."""


def commands(database: str, spread: Spread) -> list[tuple[str, Doc]]:
    """(database, command) in order; each may be repeated. The key's index first: what is not empty needs it."""
    index: Doc = {"key": spread.key, "name": "_".join(f"{field}_{way}" for field, way in spread.key.items())}
    made = [(database, {"createIndexes": spread.collection, "indexes": [index]})] if spread.key != BY_OWNER else []
    shard: Doc = {"shardCollection": f"{database}.{spread.collection}", "key": spread.key}
    return [*made, ("admin", shard)]


def lines(database: str) -> Iterator[str]:
    """The plan as mongosh takes it; what cannot be done yet as comments that say what is in the way."""
    yield f"sh.enableSharding({json.dumps(database)})"
    for spread in PLAN:
        yield f"\n// {spread.collection}: {spread.why}"
        blocked = spread.in_the_way
        for index in blocked:
            yield f"// in the way: unique ({index}), which does not begin with the key"
        for where, command in commands(database, spread):
            yield ("// " if blocked else "") + f"db.getSiblingDB({json.dumps(where)}).runCommand({json.dumps(command)})"


async def run(mongo: Mongo) -> list[str]:
    """Spread what nothing is in the way of; gives the names. Repeatable. Raises NoRouterError."""
    admin: Any = mongo.client.admin
    if (await admin.command("hello")).get("msg") != "isdbgrid":
        raise NoRouterError("MONGO_URL leads to no mongos")
    await admin.command("enableSharding", mongo.db.name)
    free = [spread for spread in PLAN if not spread.in_the_way]
    for spread in free:
        for where, command in commands(mongo.db.name, spread):
            await mongo.client[where].command(command)
    return [spread.collection for spread in free]

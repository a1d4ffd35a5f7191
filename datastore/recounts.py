"""Recounts: how many edges and entries stand behind the counters of some owners. Reads only, never a counter.

Each query reads a bounded number of index keys, whatever anybody's popularity: owners are counted together while they
fit into one, and in steps of their own where they do not.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datastore import popularity
from datastore.follows import edges_query
from datastore.mongo import Doc, Mongo, aggregated
from datastore.tweets import COUNTED

# Keys in one query: some 10 ms of the server.
KEYS_PER_QUERY = 10_000
# Wrong marks that are put right at once for one tweet; the next pass finds the rest.
MARKS_AT_ONCE = 200


@dataclass(slots=True)
class Replies:
    """The living replies to one tweet: `unmarked` are repliers of whom none is counted; `own` says whether the tweet's
    author is counted, which must not be."""

    total: int = 0
    repliers: int = 0
    unmarked: list[int] = field(default_factory=list)
    own: bool = False

    def add(self, replier: int, replies: int, counted: bool, author: int) -> None:
        """One replier's replies."""
        self.total += replies
        if replier == author:
            self.own = counted
            return
        self.repliers += 1
        if not counted and len(self.unmarked) < MARKS_AT_ONCE:
            self.unmarked.append(replier)


class Recounts:
    """Numbers by owner, 0 included."""

    def __init__(self, mongo: Mongo, at_once: int = KEYS_PER_QUERY) -> None:
        self._mongo = mongo
        self._at_once = at_once

    async def edges(self, collection: str, side: str, other: str, owners: Sequence[int]) -> dict[int, int]:
        """How many follows (`a` or `f`) or likes (`t`) each owner has on this side."""
        edges = self._mongo.db[collection]

        async def steps(owner: int) -> int:
            sort = [("at", -1), (f"_id.{other}", -1)]
            return await self._steps(
                edges,
                lambda last: edges_query(
                    f"_id.{side}", owner, f"_id.{other}", (last["at"], last["_id"][other]) if last else None
                ),
                sort,
            )

        return await self._counts(edges, f"_id.{side}", {}, owners, steps)

    async def entries(self, collection: str, side: str, owners: Sequence[int]) -> dict[int, int]:
        """How many living tweets (`author`) or retweets (`tweet`) each owner has."""
        entries, alive = self._mongo.db[collection], {"alive": True}

        async def steps(owner: int) -> int:
            return await self._steps(
                entries,
                lambda last: {side: owner} | alive | ({"_id": {"$lt": last["_id"]}} if last else {}),
                [("_id", -1)],
            )

        return await self._counts(entries, side, alive, owners, steps)

    async def _counts(
        self, collection: Any, side: str, more: Doc, owners: Sequence[int], steps: Callable[[int], Any]
    ) -> dict[int, int]:
        found = await aggregated(
            collection,
            [
                {"$match": {side: {"$in": list(owners)}} | more},
                {"$limit": self._at_once},
                {"$group": {"_id": f"${side}", "n": {"$sum": 1}}},
            ],
        )
        if sum(row["n"] for row in found) < self._at_once:
            return dict.fromkeys(owners, 0) | {row["_id"]: row["n"] for row in found}
        return {owner: await steps(owner) for owner in owners}

    async def _steps(self, collection: Any, rest: Callable[[Doc | None], Doc], sort: list[tuple[str, int]]) -> int:
        """Counts what `rest` finds behind nothing, and then behind the last of each step."""
        total, last = 0, None
        fields = {name: 1 for name, _ in sort}
        while True:
            query = rest(last)
            cursor = collection.find(query, fields).sort(sort).skip(self._at_once - 1).limit(1)
            if not (ends := [doc async for doc in cursor]):
                return total + int(await collection.count_documents(query, limit=self._at_once))
            total, last = total + self._at_once, ends[0]

    async def own_likes(self, authors: Mapping[int, int]) -> set[int]:
        """Those of the tweets (author by tweet) that their author likes."""
        pairs = [{"t": tweet, "u": author} for tweet, author in authors.items()]
        return {doc["_id"]["t"] async for doc in self._mongo.likes.find({"_id": {"$in": pairs}}, {"_id": 1})}

    async def own_retweets(self, authors: Mapping[int, int]) -> set[int]:
        """Those of the tweets that their author retweeted."""
        if not authors:
            return set()
        pairs = [{"author": author, "tweet": tweet, "alive": True} for tweet, author in authors.items()]
        cursor = self._mongo.retweets.find({"$or": pairs}, {"tweet": 1})
        return {doc["tweet"] async for doc in cursor}

    async def replies(self, authors: Mapping[int, int]) -> dict[int, Replies]:
        """What answers each of the tweets."""
        found = await aggregated(
            self._mongo.tweets,
            [
                {"$match": {"reply_to": {"$in": list(authors)}, "alive": True}},
                {"$limit": self._at_once},
                {
                    "$group": {
                        "_id": {"t": "$reply_to", "a": "$author"},
                        "n": {"$sum": 1},
                        "least": {"$min": "$counted"},
                    }
                },
            ],
        )
        if sum(row["n"] for row in found) >= self._at_once:
            return {tweet: await self._walk_replies(tweet, author) for tweet, author in authors.items()}
        replies = {tweet: Replies() for tweet in authors}
        for row in found:
            tweet, replier = row["_id"]["t"], row["_id"]["a"]
            replies[tweet].add(replier, row["n"], row["least"] == COUNTED, authors[tweet])
        return replies

    async def _walk_replies(self, tweet_id: int, author: int) -> Replies:
        """The same for one tweet, however many answer it: replier by replier, in the order of an index."""
        replies = Replies()
        of_tweet = {"reply_to": tweet_id, "alive": True, "counted": {"$exists": True}}
        after: tuple[int, int] | None = None
        current: Counter[str] = Counter()
        replier = -1
        while True:
            query: Doc = dict(of_tweet)
            if after:
                query["$or"] = [{"author": after[0], "counted": {"$gt": after[1]}}, {"author": {"$gt": after[0]}}]
            cursor = self._mongo.tweets.find(query, {"_id": 0, "author": 1, "counted": 1})
            page = [doc async for doc in cursor.sort([("author", 1), ("counted", 1)]).limit(self._at_once)]
            for doc in page:
                if doc["author"] != replier:
                    if current:
                        replies.add(replier, current["n"], bool(current["counted"]), author)
                    replier, current = doc["author"], Counter()
                current["n"] += 1
                current["counted"] += doc["counted"] == COUNTED
            if len(page) < self._at_once:
                break
            after = (page[-1]["author"], page[-1]["counted"])
        if current:
            replies.add(replier, current["n"], bool(current["counted"]), author)
        return replies


def engagement(likes: int, retweets: int, repliers: int) -> int:
    """From numbers that leave the author's own out."""
    return likes + popularity.RETWEET_WEIGHT * retweets + repliers

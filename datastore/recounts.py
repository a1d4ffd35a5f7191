"""Recounts: how many edges and entries stand behind the counters of some owners. Reads only, never a counter.

Each query reads a bounded number of index keys, whatever anybody's popularity: owners are counted together while they
fit into one, and in steps of their own where they do not.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datastore import popularity
from datastore.follows import edges_query
from datastore.mongo import Doc, Mongo, aggregated

# Keys in one query: some 10 ms of the server.
KEYS_PER_QUERY = 10_000
# Wrong numbers of repliers that are put right at once for one tweet; the next pass finds the rest.
MARKS_AT_ONCE = 200


@dataclass(slots=True)
class Replies:
    """The living replies to one tweet, by how many people other than its author, and `wrong`: (stated, right) numbers
    of the replies of people of whom something else is stated, as many as are put right at once."""

    total: int = 0
    repliers: int = 0
    wrong: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, replier: int, replies: int, stated: int, author: int) -> None:
        """One replier's replies, and how many of them are stated."""
        self.total += replies
        right = 0 if replier == author else replies
        self.repliers += right > 0
        if stated != right and len(self.wrong) < MARKS_AT_ONCE:
            self.wrong[replier] = (stated, right)


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
        """What answers each of the tweets (author by tweet)."""
        stages: list[Doc] = [
            {"$match": {"reply_to": {"$in": list(authors)}, "alive": True}},
            {"$limit": self._at_once},
            {"$group": {"_id": {"t": "$reply_to", "a": "$author"}, "n": {"$sum": 1}}},
        ]
        counted = await aggregated(self._mongo.tweets, stages)
        cursor = self._mongo.repliers.find({"_id.t": {"$in": list(authors)}}).limit(self._at_once)
        stated = [doc async for doc in cursor]
        if max(sum(row["n"] for row in counted), len(stated)) >= self._at_once:
            return {tweet: await self._walk_replies(tweet, author) for tweet, author in authors.items()}
        numbers = [{(row["_id"]["t"], row["_id"]["a"]): row["n"] for row in rows} for rows in (counted, stated)]
        replies = {tweet: Replies() for tweet in authors}
        for tweet, replier in sorted(set().union(*numbers)):
            n, said = (each.get((tweet, replier), 0) for each in numbers)
            replies[tweet].add(replier, n, said, authors[tweet])
        return replies

    async def _walk_replies(self, tweet_id: int, author: int) -> Replies:
        """The same for one tweet, however many answer it: replier by replier, counted and stated side by side."""
        replies = Replies()
        stated = self._stated(tweet_id)
        ahead = await anext(stated, None)
        async for replier, count in self._counted(tweet_id):
            while ahead and ahead[0] < replier:
                replies.add(ahead[0], 0, ahead[1], author)
                ahead = await anext(stated, None)
            same = ahead is not None and ahead[0] == replier
            replies.add(replier, count, ahead[1] if ahead and same else 0, author)
            ahead = await anext(stated, None) if same else ahead
        while ahead:
            replies.add(ahead[0], 0, ahead[1], author)
            ahead = await anext(stated, None)
        return replies

    async def _counted(self, tweet_id: int) -> AsyncIterator[tuple[int, int]]:
        """(replier, how many living replies) in order of the replier."""
        of_tweet = {"reply_to": tweet_id, "alive": True}

        def rest(last: Doc | None) -> Doc:
            if last is None:
                return of_tweet
            author = last["author"]
            return of_tweet | {"$or": [{"author": author, "_id": {"$gt": last["_id"]}}, {"author": {"$gt": author}}]}

        replier, count = 0, 0
        async for doc in self._walk(self._mongo.tweets, rest, {"author": 1}, [("author", 1), ("_id", 1)]):
            if count and doc["author"] != replier:
                yield replier, count
                count = 0
            replier, count = doc["author"], count + 1
        if count:
            yield replier, count

    async def _stated(self, tweet_id: int) -> AsyncIterator[tuple[int, int]]:
        """The same as it is stated."""

        def rest(last: Doc | None) -> Doc:
            return {"_id.t": tweet_id} | ({"_id.a": {"$gt": last["_id"]["a"]}} if last else {})

        async for doc in self._walk(self._mongo.repliers, rest, {"n": 1}, [("_id.a", 1)]):
            yield doc["_id"]["a"], doc["n"]

    async def _walk(
        self, collection: Any, rest: Callable[[Doc | None], Doc], fields: Doc, sort: list[tuple[str, int]]
    ) -> AsyncIterator[Doc]:
        """What `rest` finds behind nothing, and then behind the last of each step."""
        last = None
        while True:
            page = await collection.find(rest(last), fields).sort(sort).limit(self._at_once).to_list(None)
            for doc in page:
                yield doc
            if len(page) < self._at_once:
                return
            last = page[-1]


def engagement(likes: int, retweets: int, repliers: int) -> int:
    """From numbers that leave the author's own out."""
    return likes + popularity.RETWEET_WEIGHT * retweets + repliers

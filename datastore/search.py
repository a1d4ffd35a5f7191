"""Search: ids of tweets by term and author, and of people by the beginnings of their names. Through indexes only.

A tweet's document lists the terms it is found by, and so does a person's their beginnings: one value of either is one
range of an index. Texts are never read here. How a plan is chosen: docs/decisions/0010-search-terms-in-the-tweet.md.
"""

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from datastore.errors import bad_input
from datastore.indexes import PEOPLE_BY_NAME, TWEETS_BY_AUTHOR, Keys
from datastore.mongo import Doc, Mongo, aggregated
from datastore.records import CursorKind, Edge, Key
from datastore.together import Find
from datastore.tweets import ids_of

# What one question may look at when it asks for more than one thing at once: this many tweets of its rarest term.
SCAN_LIMIT = 10_000
# How much of each term is counted to tell which is the rarest here, 1 ms each, and is looked at first: mostly enough.
PROBE_LIMIT = 1_000
# MongoDB merges at most 200 index scans in order and sorts in memory above (internalQueryMaxScansToExplode).
AUTHORS_PER_QUERY = 200
# Of more authors the scan of a term meets enough, and asking for each costs more than it saves.
AUTHORS_ASKED = 1000

_BY_TERM = [("terms", 1), ("_id", -1)]
_BY_PREFIX = [("prefixes", 1), ("name_key", 1)]
_LAST = "\U0010ffff"
# A name of 15 ASCII characters is three integers of 40 bits in a cursor.
_NAME_BYTES, _PART_BYTES = 15, 5


@dataclass(frozen=True, slots=True)
class Found:
    """Tweet ids, newest first. `resume` is where to go on: behind the last id, or further where a bounded scan
    stopped; None at the end."""

    tweet_ids: list[int]
    resume: int | None


@dataclass(frozen=True, slots=True)
class _Window:
    """The newest tweets of a term, up to a limit: how many, and the id of the oldest, None if it has no more."""

    term: str
    count: int
    floor: int | None


class Search:
    """Tweets and people by what they are called."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._tweets = mongo.tweets
        self._users = mongo.users

    async def tweets(
        self, terms: Sequence[str], authors: Sequence[int] | None, first: int, before: int | None
    ) -> Found:
        """Up to `first` tweets with all `terms`, by any of `authors` (None: by anybody), with ids below `before`.

        Looks at about SCAN_LIMIT tweets at most, unless one index range holds the answer alone. Fewer than `first` are
        the end only if `resume` is None. At most five round trips, side by side for each term.
        """
        bounds: Doc = {} if before is None else {"_id": {"$lt": before}}
        if authors is None and len(terms) == 1:
            return _found(await self._with_term(terms[0], bounds, first + 1), first, None)
        if not terms:
            return _found(await self._by_authors({}, authors or [], bounds, first + 1), first, None)
        window, written = await asyncio.gather(self._rarest(terms, bounds), self._written(authors))
        while True:
            if authors is not None and written is not None and written <= window.count:
                wanted: Doc = {"terms": {"$all": list(terms)}}
                return _found(await self._by_authors(wanted, authors, bounds, first + 1), first, None)
            found = await self._by_term(window, terms, authors, bounds, first + 1)
            if len(found) > first or window.floor is None or window.count >= SCAN_LIMIT:
                return _found(found, first, window.floor)
            window = await self._window(window.term, bounds, SCAN_LIMIT)

    async def _with_term(self, term: str, bounds: Doc, first: int) -> list[int]:
        """The newest tweets with a term. A first page is read together with what others ask: there no other index could
        answer, so that it needs no hint."""
        if bounds:
            return await self._ids({"terms": term} | bounds, _BY_TERM, first)
        return await Find(self._mongo, "tweets", {"terms": term}, {"_id": 1}, ids_of, {"_id": -1}, first).alone()

    async def _ids(self, query: Doc, index: Keys, first: int) -> list[int]:
        cursor = self._tweets.find(query, {"_id": 1}).sort("_id", -1).limit(first).hint(index)
        return [doc["_id"] for doc in await cursor.to_list(None)]

    async def _by_term(
        self, window: _Window, terms: Sequence[str], authors: Sequence[int] | None, bounds: Doc, first: int
    ) -> list[int]:
        """The tweets of a window that have the other terms, too, and one of the authors."""
        others: Doc = {}
        if len(terms) > 1:
            others["terms"] = {"$all": [term for term in terms if term != window.term]}
        if authors is not None:
            others["author"] = {"$in": list(authors)}
        # Down to the floor and not by count: tweets that came since the window was read must push nothing out of it.
        newest = bounds.get("_id", {})
        floor = {"$gte": window.floor} if window.floor is not None else {}
        pipeline: list[Doc] = [
            {"$match": {"terms": window.term} | ({"_id": newest | floor} if newest or floor else {})},
            {"$sort": {"_id": -1}},
            # A limit here keeps the other conditions from moving up, where another term might lead the scan.
            {"$limit": 2 * SCAN_LIMIT},
            {"$match": others},
            {"$limit": first},
            {"$project": {"_id": 1}},
        ]
        return [doc["_id"] for doc in await aggregated(self._tweets, pipeline, hint=dict(_BY_TERM))]

    async def _by_authors(self, wanted: Doc, authors: Sequence[int], bounds: Doc, first: int) -> list[int]:
        """The tweets of these authors that are `wanted`, by merging their ranges, 200 at a time."""
        chunks = [authors[at : at + AUTHORS_PER_QUERY] for at in range(0, len(authors), AUTHORS_PER_QUERY)]
        lists = [
            await self._ids({"author": {"$in": list(chunk)}, "alive": True} | wanted | bounds, TWEETS_BY_AUTHOR, first)
            for chunk in chunks
        ]
        return list(islice(heapq.merge(*lists, reverse=True), first))

    async def _rarest(self, terms: Sequence[str], bounds: Doc) -> _Window:
        """A first, small window of the term that is rarest right below the bounds: whose window reaches furthest."""
        windows = await asyncio.gather(*(self._window(term, bounds, PROBE_LIMIT) for term in terms))
        return min(windows, key=lambda window: (window.floor or 0, window.count))

    async def _window(self, term: str, bounds: Doc, limit: int) -> _Window:
        """Answered from the index alone."""
        pipeline: list[Doc] = [
            {"$match": {"terms": term} | bounds},
            {"$sort": {"_id": -1}},
            {"$limit": limit},
            {"$group": {"_id": None, "count": {"$sum": 1}, "floor": {"$min": "$_id"}}},
        ]
        docs = await aggregated(self._tweets, pipeline, hint=dict(_BY_TERM))
        if not docs:
            return _Window(term, 0, None)
        return _Window(term, docs[0]["count"], docs[0]["floor"] if docs[0]["count"] == limit else None)

    async def _written(self, authors: Sequence[int] | None) -> int | None:
        """How many tweets the authors have written by their counters; None if they are too many to ask."""
        if authors is None or len(authors) > AUTHORS_ASKED:
            return None
        cursor = self._users.find({"_id": {"$in": list(authors)}}, {"tweets": 1})
        written: int = sum(max(doc["tweets"], 0) for doc in await cursor.to_list(None))
        return written

    async def authors(self, usernames: Sequence[str]) -> list[int]:
        """The ids of those who exist, case ignored. One round trip."""
        cursor = self._users.find({"name_key": {"$in": [name.lower() for name in usernames]}}, {"_id": 1})
        return [doc["_id"] for doc in await cursor.to_list(None)]

    async def users(self, prefix: str, first: int, after: Key | None) -> list[Edge[int]]:
        """Up to `first` ids of people: first those whose username begins with the prefix, then those whose display
        name has a word from which on it does; both by username.

        At most one round trip for each of the three ranges; each is one range of an index in its order.
        """
        found: list[Edge[int]] = []
        start, name = (0, "") if after is None else _position(after)
        for segment, (wanted, low, high) in enumerate(_segments(prefix)):
            if segment < start or len(found) == first:
                continue
            bound: Doc = {"$gt": name} if segment == start and name else {"$gte": low}
            query = wanted | {"name_key": bound | {"$lt": high}}
            cursor = self._users.find(query, {"name_key": 1}).sort("name_key", 1).limit(first - len(found))
            cursor = cursor.hint(_BY_PREFIX if wanted else PEOPLE_BY_NAME)
            found += [
                Edge(CursorKind.FOUND_USERS, (segment, *_packed(doc["name_key"])), doc["_id"])
                for doc in await cursor.to_list(None)
            ]
        return found


def _found(tweet_ids: list[int], first: int, floor: int | None) -> Found:
    """The first of one more than were asked for, and where to go on."""
    if len(tweet_ids) > first:
        return Found(tweet_ids[:first], tweet_ids[first - 1])
    return Found(tweet_ids, floor)


def _segments(prefix: str) -> list[tuple[Doc, str, str]]:
    """(condition, least username, first username beyond) of each range: by username, then by display name those
    before and those behind."""
    above = prefix + _LAST
    return [({}, prefix, above), ({"prefixes": prefix}, "", prefix), ({"prefixes": prefix}, above, _LAST)]


def _packed(name: str) -> Key:
    padded = name.encode()[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
    return tuple(int.from_bytes(padded[at : at + _PART_BYTES]) for at in range(0, _NAME_BYTES, _PART_BYTES))


def _position(key: Key) -> tuple[int, str]:
    """The range and the username of a cursor. Raises BAD_USER_INPUT."""
    segment, *parts = key
    if segment > 2 or any(part >> 8 * _PART_BYTES for part in parts):
        raise bad_input("This is not a cursor of this list.")
    name = b"".join(part.to_bytes(_PART_BYTES) for part in parts).rstrip(b"\0")
    return segment, name.decode("ascii", "replace")

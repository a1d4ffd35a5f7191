"""Entries: what authors contribute to timelines, tweets and retweets in one order. Reads ids only."""

import asyncio
import heapq
from collections.abc import Iterator, Sequence
from itertools import islice

from datastore.mongo import Doc
from datastore.retweets import Retweets
from datastore.together import Find
from datastore.tweets import Tweets

# MongoDB merges at most 200 index scans in order and sorts in memory above (internalQueryMaxScansToExplode).
AUTHORS_PER_QUERY = 200


class Entries:
    """The union of tweets and retweets, by author."""

    def __init__(self, tweets: Tweets, retweets: Retweets) -> None:
        self._tweets = tweets
        self._retweets = retweets

    async def newest(
        self, author_ids: Sequence[int], first: int, before: int | None = None, above: int = 0
    ) -> list[int]:
        """The newest `first` entry ids of these authors in (above, before), newest first.

        Two queries side by side for each 200 authors, each answered by merging index scans, never by sorting in
        memory.
        """
        bounds: Doc = {"$gt": above} if before is None else {"$gt": above, "$lt": before}
        lists: list[list[int]] = []
        for chunk in _chunks(author_ids):
            lists += await asyncio.gather(
                self._tweets.newest(chunk, bounds, first), self._retweets.newest(chunk, bounds, first)
            )
        return list(islice(heapq.merge(*lists, reverse=True), first))

    def find_newest(self, author_id: int, first: int, before: int | None = None) -> tuple[Find[list[int]], ...]:
        """The newest `first` tweets and the newest `first` retweets of one author below `before`, to be asked together
        with others."""
        bounds: Doc = {"$gt": 0} if before is None else {"$gt": 0, "$lt": before}
        return self._tweets.find_newest(author_id, bounds, first), self._retweets.find_newest(author_id, bounds, first)

    async def newest_among(
        self, circle: Sequence[int], author_ids: Sequence[int], first: int, before: int | None
    ) -> list[int]:
        """As `newest`, without replies to people outside the circle and without retweets of people within it.

        What is left out costs an index key each, so that a flood of it cannot hide what lies behind. Three queries side
        by side for each 200 authors.
        """
        bounds: Doc = {"$gt": 0} if before is None else {"$gt": 0, "$lt": before}
        lists: list[list[int]] = []
        for chunk in _chunks(author_ids):
            lists += await asyncio.gather(
                self._tweets.newest_unprompted(chunk, bounds, first),
                self._tweets.newest_replies(chunk, bounds, first, circle),
                self._retweets.newest_of_others(chunk, bounds, first, circle),
            )
        return list(islice(heapq.merge(*lists, reverse=True), first))


def _chunks(author_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (author_ids[at : at + AUTHORS_PER_QUERY] for at in range(0, len(author_ids), AUTHORS_PER_QUERY))

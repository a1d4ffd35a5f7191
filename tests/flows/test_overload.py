"""Too many requests at once: what is refused, in which order, and that it is over when they are answered.

Requests are held in hand as a slow store would hold them: by a transaction of somebody else's on what they write to.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from datastore.mongo import Mongo
from datastore.settings import Settings
from realtime import keys
from realtime.load import ALL
from schema import globalid
from tests.flows.test_topics import event, watching
from tests.perch import PATIENCE_SECONDS, Perch, Person, serving

AT_ONCE = 10
SEARCH = '{ searchUsers(query: "p") { nodes { id } } }'
READ = "{ viewer { user { username } } }"
POST = 'mutation { postTweet(input: { text: "accepted" }) { tweet { id } errors { code } } }'
LIKE = "mutation ($input: TweetInput!) { likeTweet(input: $input) { errors { code } } }"


@pytest.fixture
async def small(perch: Perch, settings: Settings) -> AsyncIterator[Perch]:
    """A server that has ten requests in hand before it refuses reads. Motor would make ten threads of its own wait."""
    given = {"requests_at_once": AT_ONCE, "request_seconds": 60, "mongo_driver": "pymongo"}
    async with serving(settings.model_copy(update=given)) as small:
        yield small


async def figure(perch: Perch, name: str) -> float:
    """What the servers of this process have counted."""
    lines = (await perch.http.get("/metrics")).text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0)


async def until(perch: Perch, name: str, least: float) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await figure(perch, name) < least:
            await asyncio.sleep(0.01)


class Held:
    """Likes that wait in a server's hands."""

    def __init__(self, liker: Person, tweet_ids: Sequence[str]) -> None:
        self._liker, self._left = liker, list(tweet_ids)
        self.waiting: list[asyncio.Task[Any]] = []

    async def grow(self, to: int) -> None:
        """So many are in hand."""
        while len(self.waiting) < to:
            given = {"tweetId": self._left.pop()}
            self.waiting.append(asyncio.create_task(self._liker.ask(LIKE, input=given)))
        await until(self._liker.perch, "perch_requests_in_hand", to)


@asynccontextmanager
async def holding(mongo: Mongo, liker: Person, tweet_ids: Sequence[str]) -> AsyncIterator[Held]:
    """Likes of these tweets do not end before the block does; then all of them have been answered."""
    held = Held(liker, tweet_ids)
    async with mongo.session() as session:
        session.start_transaction()
        written = {"_id": {"$in": [globalid.of_type(one, "Tweet") for one in tweet_ids]}}
        await mongo.tweets.update_many(written, {"$set": {"held": True}}, session=session)
        try:
            yield held
        finally:
            await session.abort_transaction()
    for answer in await asyncio.gather(*held.waiting):
        assert (answer.status, answer.errors) == (200, [])


async def refused(person: Person, query: str) -> list[str]:
    """The codes with which it is not served, which a proxy would understand too; none if it is served."""
    response: httpx.Response = await person.perch.http.post(
        "/graphql", json={"query": query}, headers={"authorization": f"Bearer {person.token}"}
    )
    if "errors" not in response.json():
        assert response.status_code == 200
        return []
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    return [error["extensions"]["code"] for error in response.json()["errors"]]


async def test_counts_go_first_then_search_then_rebuilds_then_reads_and_tweets_last(perch: Perch, small: Perch) -> None:
    liker, other = await small.persons(2)
    tweet_ids = [(await other.post(f"number {number}"))["id"] for number in range(ALL * AT_ONCE)]
    watched = (await other.post("watched"))["id"]
    timeline = keys.timeline(globalid.of_type(other.id, "User"))
    async with watching(small, watched) as counts:
        async with holding(perch.mongo, liker, tweet_ids) as held:
            await held.grow(AT_ONCE // 2)
            assert [await refused(other, query) for query in (SEARCH, READ, POST)] == [[], [], []]

            await held.grow(6)
            # By another server: here the count would move in one command with one that is held.
            await replace(other, perch=perch).like(watched)
            await until(small, 'perch_shed_total{what="live_counts"}', 1)
            assert await refused(other, SEARCH) == ["OVERLOADED"]
            await other.home()
            assert await small.redis.exists(timeline)

            await held.grow(8)
            await small.redis.unlink(timeline)
            assert (await other.texts())[-1] == "number 0"
            assert not await small.redis.exists(timeline)

            await held.grow(AT_ONCE)
            assert await refused(other, READ) == ["OVERLOADED"]
            assert await refused(other, POST) == []

            await held.grow(ALL * AT_ONCE)
            assert await refused(other, POST) == ["OVERLOADED"]
        # It is over.
        assert [await refused(other, query) for query in (SEARCH, READ, POST)] == [[], [], []]
        assert (await event(counts, "tweetEvents"))["tweet"]["likeCount"] == 1
    await other.home()
    assert await small.redis.exists(timeline)

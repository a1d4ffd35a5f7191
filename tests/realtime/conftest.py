"""The rooms below the front door: a database and a Redis of each test's own, with nothing running."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

import app
from datastore import ids
from datastore.changes import Changes
from datastore.follows import Follows
from datastore.records import Tweet
from datastore.settings import Settings
from datastore.tweets import Tweets
from realtime.fanout import Fanout
from realtime.handlers import Rooms
from realtime.pipeline import open_rooms
from realtime.scripts import Scripts
from realtime.timelines import Bounds, Timelines
from realtime.top_tweets import TopBounds, TopTweets
from tests.emptied import emptied

# A Redis of their own: the shared server of the front-door tests uses number 0.
REDIS_NUMBER = 9
PARTITIONS = 2
TOP_USER_THRESHOLD = 5


@dataclass
class House:
    """The rooms, open."""

    clients: app.Clients
    # Any: redis-py's answers are typed as everything that they could be.
    redis: Any
    changes: Changes
    follows: Follows
    tweets: Tweets
    timelines: Timelines
    fanout: Fanout
    top_tweets: TopTweets
    rooms: Rooms

    async def tweet(self, author_id: int, at_ms: int | None = None) -> Tweet:
        return await self.tweets.add(author_id, "text", at_ms or ids.now_ms())

    def people(self, count: int) -> list[int]:
        """Ids of people nobody has to know more about, each a millisecond later: within one, two may be the same."""
        now_ms = ids.now_ms()
        return [ids.new(now_ms + n) for n in range(count)]


@pytest.fixture
async def house(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Small bounds: 10 entries kept, trimmed at 14; 20 top tweets kept, 10 of them listed."""
    redis_url = settings.redis_url.removesuffix("/0") + f"/{REDIS_NUMBER}"
    own = settings.model_copy(update={"mongo_database": "test_realtime", "redis_url": redis_url})
    async with app.clients(own) as clients:
        await emptied(clients.mongo)
        await clients.redis.flushdb()
        bounds = Bounds(kept_entries=10, trim_at=14, build_lease_ms=300)
        rooms = open_rooms(clients.mongo, clients.redis, PARTITIONS, bounds, TOP_USER_THRESHOLD)
        changes = Changes(clients.mongo)
        await changes.prepare()
        top_bounds = TopBounds(kept=20, trim_at=24, listed=10, snapshots=3, build_lease_ms=300)
        top_tweets = TopTweets(Scripts(clients.redis), rooms.tweets, top_bounds)
        rooms = replace(rooms, top_tweets=top_tweets)
        yield House(
            clients,
            clients.redis,
            changes,
            rooms.follows,
            rooms.tweets,
            rooms.timelines,
            rooms.fanout,
            top_tweets,
            rooms,
        )
        await clients.redis.flushdb()

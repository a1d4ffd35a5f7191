"""Pipeline: relay, worker, purger and reconciler as one process runs them; and how to wait until all has followed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from datastore.blocks import Blocks
from datastore.changes import Changes
from datastore.entries import Entries
from datastore.follows import Follows
from datastore.mongo import Mongo, PyMongoError, within
from datastore.purges import Purges
from datastore.retweets import Retweets
from datastore.settings import Settings
from datastore.trails import Trails
from datastore.tweets import Tweets
from datastore.users import Users
from realtime import keys
from realtime.asked import Asked
from realtime.backlog import backlog
from realtime.cache import Cache
from realtime.connect import Client, RedisError
from realtime.fanout import Fanout
from realtime.handlers import Rooms
from realtime.purger import Purger, PurgeWaits
from realtime.reconcile import Reconciler, ReconcileWaits
from realtime.relay import Relay, Waits, raise_event
from realtime.scripts import Scripts
from realtime.timelines import Bounds, Timelines
from realtime.top_tweets import TopTweets
from realtime.top_users import TopUsers
from realtime.topics import Topics
from realtime.worker import Worker, handled_beat

# What a process that ends waits for a store that is away.
CLOSE_SECONDS = 2.0
# How often `settle` looks.
_LOOK_SECONDS = 0.005


class Pipeline:
    """From a committed write to Redis. `redis` is a client that waits (realtime.connect.for_workers), and so is
    `streams` (datastore.changes.Changes)."""

    def __init__(self, mongo: Mongo, streams: Mongo, redis: Client, settings: Settings) -> None:
        threshold, partitions = settings.top_user_threshold, settings.partitions
        waits = Waits(lease=settings.lease_seconds)
        rooms = open_rooms(mongo, redis, partitions, Bounds.of(settings), threshold)
        self.changes = Changes(mongo, streams)
        self.top_users = rooms.top_users
        self._redis = redis
        self._partitions = partitions

        async def forget() -> None:
            await rooms.cache.forget_all()
            await rooms.timelines.forget_live()
            await rooms.top_tweets.drop()

        self._relay = Relay(self.changes, redis, partitions, waits, forget)
        self._worker = Worker(redis, rooms, partitions, waits)
        self._purger = Purger(Purges(mongo, settings.purge_slice), redis, self._settle, PurgeWaits.of(settings))
        self.reconciler = Reconciler(mongo, redis, rooms, self._settle, threshold, ReconcileWaits.of(settings))

    async def run(self) -> None:
        """Relay (as leader or waiting to be one) and work, until cancelled."""
        await self.changes.prepare()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._relay.run())
                tasks.create_task(self._worker.run())
                tasks.create_task(self._purger.run())
                tasks.create_task(self.reconciler.run())
        finally:
            await asyncio.shield(self._close())

    def probes(self) -> dict[str, Callable[[], Awaitable[object]]]:
        """What a worker cannot do without."""
        return {"mongo": self.changes.mongo.ping, "redis": self._redis.ping}

    async def backlog(self) -> dict[str, float]:
        """How far the pipeline is behind, exported and given. Raises while a store is away."""
        return (await backlog(self.changes, self._redis, [*map(keys.events, range(self._partitions))])).export()

    async def _close(self) -> None:
        """What this process held is free at once; where nobody can be told, it is when the leases are over."""
        for close in (self._worker.close, self.reconciler.close, self._relay.close):
            with suppress(PyMongoError, RedisError), within(CLOSE_SECONDS):
                await close()

    async def _settle(self) -> None:
        await settle(self.changes, self._redis, self._partitions)


def open_rooms(mongo: Mongo, redis: Client, partitions: int, bounds: Bounds, top_user_threshold: int) -> Rooms:
    """What handlers work with, over open clients."""
    scripts = Scripts(redis)
    users, follows, tweets, retweets = Users(mongo), Follows(mongo), Tweets(mongo), Retweets(mongo)
    entries = Entries(tweets, retweets)
    timelines = Timelines(scripts, follows, entries, bounds)
    return Rooms(
        users=users,
        follows=follows,
        tweets=tweets,
        retweets=retweets,
        blocks=Blocks(mongo),
        timelines=timelines,
        fanout=Fanout(scripts, bounds),
        top_tweets=TopTweets(scripts, tweets),
        topics=Topics(redis),
        top_users=TopUsers(scripts, users, follows, entries, timelines, top_user_threshold),
        cache=Cache(scripts, tweets, users),
        trails=Trails(mongo),
        asked=Asked(users, tweets, follows),
        raise_event=partial(raise_event, redis, partitions),
    )


async def settle(changes: Changes, redis: Client, partitions: int) -> None:
    """Wait until everything written before this call has been handled, by whatever processes run the pipeline.

    A heartbeat is sent through: it comes out of each partition behind what went in before it.
    """
    beat = await changes.beat()
    while await handled_beat(redis, partitions) < beat:
        await asyncio.sleep(_LOOK_SECONDS)

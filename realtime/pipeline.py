"""Pipeline: relay and worker as one process runs them, and how to wait until all that was written has followed."""

import asyncio

from datastore.blocks import Blocks
from datastore.changes import Changes
from datastore.entries import Entries
from datastore.follows import Follows
from datastore.mongo import Mongo
from datastore.purges import Purges
from datastore.retweets import Retweets
from datastore.tweets import Tweets
from realtime import keys
from realtime.connect import Client
from realtime.fanout import Fanout
from realtime.handlers import Rooms
from realtime.purger import Purger, PurgeWaits
from realtime.relay import Relay, Waits
from realtime.scripts import Scripts
from realtime.timelines import Bounds, Timelines
from realtime.worker import Worker, handled_beats

# How often `settle` looks.
_LOOK_SECONDS = 0.005


class Pipeline:
    """From a committed write to Redis. `redis` is a client that waits (realtime.connect.for_workers)."""

    def __init__(
        self,
        mongo: Mongo,
        redis: Client,
        partitions: int,
        waits: Waits,
        bounds: Bounds,
        purge_waits: PurgeWaits,
        purge_slice: int,
    ) -> None:
        scripts = Scripts(redis)
        follows, tweets, retweets = Follows(mongo), Tweets(mongo), Retweets(mongo)
        timelines = Timelines(scripts, follows, Entries(tweets, retweets), bounds)
        rooms = Rooms(follows, tweets, retweets, Blocks(mongo), timelines, Fanout(scripts, bounds))
        self.changes = Changes(mongo)
        self._redis = redis
        self._partitions = partitions
        self._relay = Relay(self.changes, redis, partitions, waits, timelines.forget_all)
        self._worker = Worker(redis, rooms, partitions, waits)
        self._purger = Purger(Purges(mongo, purge_slice), redis, self._settle, purge_waits)

    async def run(self) -> None:
        """Relay (as leader or waiting to be one) and work, until cancelled."""
        await self.changes.prepare()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._relay.run())
                tasks.create_task(self._worker.run())
                tasks.create_task(self._purger.run())
        finally:
            await asyncio.shield(self._worker.close())

    async def _settle(self) -> None:
        await settle(self.changes, self._redis, self._partitions)


async def settle(changes: Changes, redis: Client, partitions: int) -> None:
    """Wait until everything written before this call has been handled, by whatever processes run the pipeline.

    A heartbeat is sent through: it comes out of each partition behind what went in before it.
    """
    beat = await changes.beat()
    while handled_beats(await redis.hgetall(keys.HEARTBEATS), partitions) < beat:
        await asyncio.sleep(_LOOK_SECONDS)

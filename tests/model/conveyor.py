"""Conveyor: from a write to its handlers, at the scheduler's pace: the log of what happened, relayed into partitions,
read by workers in batches, at least once. Stands for relay and worker, whose own tests are elsewhere.

Events are computed from what each write did to the documents and not read from the change stream: those come with
the server's own timing, and the same choices would not give the same run. They have the order of the writes.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from datastore import ids
from datastore.events import Event, EventName
from realtime import handlers
from realtime.handlers import Rooms
from tests.model.oracle import History
from tests.model.scheduler import Actor, Scheduler

PARTITIONS = 2

# What coming and going is called, by collection.
_NAMES: Mapping[str, tuple[EventName, EventName]] = {
    "tweets": (EventName.TWEET_POSTED, EventName.TWEET_DELETED),
    "retweets": (EventName.TWEET_RETWEETED, EventName.RETWEET_UNDONE),
    "follows": (EventName.USER_FOLLOWED, EventName.USER_UNFOLLOWED),
    "block": (EventName.BLOCK_CHANGED, EventName.BLOCK_CHANGED),
    "mute": (EventName.MUTE_CHANGED, EventName.MUTE_CHANGED),
}


@dataclass(eq=False)
class Happened:
    """An event on its way. `handled`: a worker came to the end of it, and so did its batch."""

    event: Event
    author: int
    handled: bool = False


@dataclass(eq=False)
class Batch:
    """Events that a worker has taken and not yet acknowledged. A zombie has lost its partitions and does not know."""

    events: list[Happened]
    partitions: list[int]
    zombie: bool = False
    # Its streams are gone: nobody hears of its acknowledgement.
    lost: bool = False


class Conveyor:
    """The events of one run."""

    def __init__(self, scheduler: Scheduler, history: History) -> None:
        self._scheduler, self._history = scheduler, history
        self.log: list[Happened] = []
        self.relayed = 0
        # Batches begun so far.
        self.worked = 0
        self.queues: list[deque[Happened]] = [deque() for _ in range(PARTITIONS)]
        self.batches: dict[str, Batch] = {}
        self._announced: dict[Any, Happened] = {}

    def happened(self, collection: str, came: Iterable[Any], went: Iterable[Any]) -> None:
        """The events of one write."""
        for keys, way in ((came, 0), (went, 1)):
            for key in keys:
                event, author = self._event(collection, key, way)
                happened = Happened(event, author)
                self.log.append(happened)
                if way == 0:
                    self._announced[key] = happened

    def _event(self, collection: str, key: Any, way: int) -> tuple[Event, int]:
        if collection == "follows":
            other, author = key
            subject = author
        elif collection == "blocks":
            author, collection, other = key
            subject = author
        else:
            author = self._history.entries[key].author
            subject, other = key, author if way == 0 else 0
        return Event(_NAMES[collection][way], ids.spread(author, ids.AUTHOR_BUCKETS), subject, other), author

    def all_handled(self) -> None:
        """What happened so far lies in the past."""
        self.relayed = len(self.log)
        for happened in self.log:
            happened.handled = True

    def settled(self, key: Any) -> bool:
        """Whether the event that announced this tweet, retweet or follow has been handled."""
        return self._announced[key].handled

    def _queue(self, author: int) -> deque[Happened]:
        return self.queues[self._history.people.index(author) % PARTITIONS]

    def relay(self, count: int = 1) -> bool:
        """Hand over up to so many events of the log; False if there are none."""
        handed_over = self.log[self.relayed : self.relayed + count]
        for happened in handed_over:
            self._queue(happened.author).append(happened)
        self.relayed += len(handed_over)
        return bool(handed_over)

    async def raise_event(self, event: Event) -> None:
        """What a handler puts on the queue itself: it stands nowhere else."""
        await self._scheduler.gate("redis XADD")
        self._queue(event.subject_id).append(Happened(event, event.subject_id))

    def forget(self, back: int) -> None:
        """Redis lost the streams: the relay begins again at the oldest event that it cannot prove handled, or `back`
        events before it, since its watermark lags. Whoever handles something now does not know."""
        waiting = [at for at, happened in enumerate(self.log[: self.relayed]) if not happened.handled]
        self.relayed = max(min([self.relayed, *waiting]) - back, 0)
        for queue in self.queues:
            queue.clear()
        for batch in self.batches.values():
            batch.zombie = batch.lost = True

    def free(self) -> list[int]:
        """Partitions with events that nobody reads now."""
        busy = {partition for batch in self.batches.values() if not batch.zombie for partition in batch.partitions}
        return [partition for partition in range(PARTITIONS) if partition not in busy and self.queues[partition]]

    async def work(self, name: str, partitions: list[int], count: int, rooms: Rooms) -> None:
        """A worker that takes up to `count` events of each of these partitions."""
        events = [
            queue.popleft() for p in partitions if (queue := self.queues[p]) for _ in range(min(count, len(queue)))
        ]
        self.batches[name] = Batch(events, partitions)
        self.worked += 1
        await self._scheduler.start(name, name, self._handle(name, rooms))

    async def _handle(self, name: str, rooms: Rooms) -> None:
        batch = self.batches[name]
        for happened in batch.events:
            self._scheduler.log.append(f"{name} handles {happened.event.name}")
            await handlers.HANDLERS[happened.event.name](rooms, happened.event)
        await rooms.fanout.flush()
        await self._scheduler.gate("acknowledge")
        del self.batches[name]
        for happened in batch.events if not batch.lost else ():
            happened.handled = True
            for queue in self.queues:
                if happened in queue:
                    queue.remove(happened)

    async def lose(self, actor: Actor, dead: bool) -> None:
        """A worker's lease runs out, because it is `dead` or too slow: others read its events, from the oldest on."""
        batch = self.batches[actor.name]
        if not batch.zombie:
            for happened in reversed(batch.events):
                self._queue(happened.author).appendleft(happened)
        batch.zombie = True
        if dead:
            await self._scheduler.cancel(actor, orphans_too=True)
            del self.batches[actor.name]

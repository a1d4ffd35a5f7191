"""Lanes: events that take long wait here, author by author and in order, while the batches go on. Handles nothing.

An event stays unacknowledged in its stream until its lane has handled it, so whatever ends this process loses none.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from realtime import telemetry

# A partition and an author's bucket: what is in order.
Lane = tuple[int, int]
# Events that wait in all lanes of a worker; beyond it the worker reads no more, so that its memory stays bounded.
LANES_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One stream entry."""

    partition: int
    entry_id: str
    fields: dict[str, str]

    @property
    def lane(self) -> Lane:
        """Junk has one of its own."""
        bucket = self.fields.get("b", "")
        return self.partition, int(bucket) if bucket.isdigit() else -1


def delivery(stream: str, entry: tuple[str, dict[str, str]]) -> Delivery:
    """An entry as Redis gives it."""
    return Delivery(int(stream.rpartition(":")[2]), entry[0], entry[1])


@dataclass(slots=True)
class _Queue:
    """The events of one lane, oldest first, and the task that handles them."""

    waiting: deque[Delivery] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Lanes:
    """All lanes of a worker. `handle` runs one event to its end and acknowledges it; it may only fail by a bug."""

    def __init__(self, handle: Callable[[Delivery], Awaitable[None]]) -> None:
        self._handle = handle
        self._queues: dict[Lane, _Queue] = {}
        self._freed = asyncio.Event()
        self._given_up: dict[int, int] = {}

    def take(self, event: Delivery, tasks: asyncio.TaskGroup) -> None:
        """Have the event handled behind those that wait in its lane. Idempotent."""
        queue = self._queues.setdefault(event.lane, _Queue())
        if event not in queue.waiting:
            queue.waiting.append(event)
            telemetry.LANES_WAITING.inc()
        if queue.task is None:
            queue.task = tasks.create_task(self._run(event.lane, queue))

    def has(self, lane: Lane) -> bool:
        """Whether anything waits there, or is handled just now."""
        return lane in self._queues

    def is_idle(self, partition: int) -> bool:
        """Whether nothing of this partition waits."""
        return all(lane[0] != partition for lane in self._queues)

    async def room(self) -> None:
        """Wait until more may be taken."""
        while sum(len(queue.waiting) for queue in self._queues.values()) >= LANES_LIMIT:
            self._freed.clear()
            await self._freed.wait()

    async def passed(self, partition: int) -> bool:
        """Wait until all that waits of this partition now has been handled; what comes later is not waited for. False
        if the partition was given up meanwhile, and it was not."""
        last = [(lane, queue.waiting[-1]) for lane, queue in self._queues.items() if lane[0] == partition]
        given_up = self._given_up.get(partition)
        for lane, event in last:
            while (queue := self._queues.get(lane)) and event in queue.waiting:
                self._freed.clear()
                await self._freed.wait()
        return self._given_up.get(partition) == given_up

    def leave(self, partition: int) -> None:
        """Give up what waits of a partition that another worker reads now."""
        self._given_up[partition] = self._given_up.get(partition, 0) + 1
        for lane, queue in list(self._queues.items()):
            if lane[0] == partition and queue.task:
                queue.task.cancel()

    async def _run(self, lane: Lane, queue: _Queue) -> None:
        try:
            while queue.waiting:
                await self._handle(queue.waiting[0])
                queue.waiting.popleft()
                telemetry.LANES_WAITING.dec()
                self._freed.set()
        finally:
            telemetry.LANES_WAITING.dec(len(queue.waiting))
            del self._queues[lane]
            self._freed.set()

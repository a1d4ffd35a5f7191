"""A cell of Perch as a discrete simulation: servers, MongoDB, Redis and workers are stations with queues, and what is
asked goes from one to the next. Measures nothing and draws nothing; the same seed gives the same run.

A read is a server, Redis, MongoDB and the server again; a write likewise, and then an event: its worker writes units of
at most 500 readers, authors in turn, Redis takes them, and the server sends them to those who are present.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count

Then = Callable[[], None]
UNIT = 500


class Clock:
    """What happens when. Things of one moment happen in the order in which they were planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self._plans: list[tuple[float, int, Then]] = []
        self._numbers = count()

    def after(self, seconds: float, then: Then) -> None:
        heapq.heappush(self._plans, (self.now + seconds, next(self._numbers), then))

    def run(self, until: float) -> None:
        """Everything up to this moment."""
        while self._plans and self._plans[0][0] <= until:
            self.now, _, then = heapq.heappop(self._plans)
            then()
        self.now = until


class Station:
    """So many servers with one queue, first come first served."""

    def __init__(self, clock: Clock, servers: int) -> None:
        self._clock, self.servers = clock, servers
        self._queue: deque[tuple[float, float, Then]] = deque()
        self._busy = self._since = 0.0
        self.stopped = False
        self.came = self.left = 0
        self.spent = self.sojourn = self.area = 0.0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def inside(self) -> int:
        return self.came - self.left

    @property
    def oldest(self) -> float:
        """How long the first in the queue has waited."""
        return self._clock.now - self._queue[0][0] if self._queue else 0.0

    def serve(self, seconds: float, then: Then) -> None:
        """Take so long for this, as soon as a server is free, and go on with `then`."""
        self._count()
        self.came += 1
        self._queue.append((self._clock.now, seconds, then))
        self._begin()

    def stop(self) -> None:
        """Nobody is served any more; who is being served is finished."""
        self.stopped = True

    def go_on(self) -> None:
        self.stopped = False
        self._begin()

    def _begin(self) -> None:
        while self._queue and self._busy < self.servers and not self.stopped:
            came_at, seconds, then = self._queue.popleft()
            self._busy += 1
            self.spent += seconds
            self._clock.after(seconds, partial(self._end, came_at, then))

    def _end(self, came_at: float, then: Then) -> None:
        self._count()
        self._busy -= 1
        self.left += 1
        self.sojourn += self._clock.now - came_at
        self._begin()
        then()

    def _count(self) -> None:
        self.area += self.inside * (self._clock.now - self._since)
        self._since = self._clock.now


@dataclass(frozen=True, slots=True)
class Shape:
    """A cell and its people. `load` is the share of its servers' CPU that reads take; `least` and `exponent` make the
    power law of followers: at least so many, and P(more than x) = (least / x) ^ exponent."""

    servers: int = 4
    workers: int = 1
    databases: int = 4
    load: float = 0.5
    reads_to_a_write: float = 50
    least: float = 17
    exponent: float = 1.2
    threshold: int = 5000
    present: float = 0.2
    page_every: float = 30

    def followers(self, rng: random.Random) -> int:
        """Of the author of a tweet."""
        return int(self.least * rng.random() ** (-1 / self.exponent))


@dataclass(slots=True)
class Second:
    """What was seen at the end of a second."""

    at: int
    waiting: int
    oldest: float
    servers_waiting: int


@dataclass(slots=True)
class Seen:
    """What a run has shown: durations of reads, and of entries until they were visible, with how many readers."""

    reads: list[tuple[float, float]] = field(default_factory=list)
    visible: list[tuple[float, float, int]] = field(default_factory=list)
    seconds: list[Second] = field(default_factory=list)
    entries_made: int = 0
    entries_written: int = 0


class Cell:
    """A running cell."""

    def __init__(self, shape: Shape, costs: Mapping[str, float], seed: int) -> None:
        self.shape, self.costs, self.rng = shape, costs, random.Random(seed)
        self.clock, self.seen = Clock(), Seen()
        self.servers = Station(self.clock, shape.servers)
        self.databases = Station(self.clock, shape.databases)
        self.redis = Station(self.clock, 1)
        self.workers = [Station(self.clock, 1) for _ in range(shape.workers)]
        self.read_rate = shape.load * shape.servers / costs["read: server"]
        self.write_rate = self.read_rate / shape.reads_to_a_write
        # How many times as much is written as usual, and who has to be rebuilt with their next page.
        self.burst, self.cold = 1.0, 0
        self.readers = int(self.read_rate * shape.page_every)

    def run(self, seconds: int) -> Seen:
        """So many seconds, looked at each second."""
        self._again(self.read_rate, self.read)
        self._again(self.write_rate, self.write)
        for second in range(1, seconds + 1):
            self.clock.run(second)
            waiting = sum(worker.waiting for worker in self.workers)
            oldest = max(worker.oldest for worker in self.workers)
            self.seen.seconds.append(Second(second, waiting, oldest, self.servers.waiting))
        return self.seen

    def _again(self, rate: float, what: Then) -> None:
        """At random moments, so many a second."""

        def once() -> None:
            what()
            self.clock.after(self.rng.expovariate(rate * (self.burst if what == self.write else 1)), once)

        self.clock.after(self.rng.expovariate(rate), once)

    def read(self) -> None:
        """A page, by somebody: a cold one for as many as have to be rebuilt."""
        is_cold = self.cold > 0 and self.rng.random() < self.cold / self.readers
        self.cold -= is_cold
        self.page(is_cold, self.read_done(self.clock.now))

    def read_done(self, began: float) -> Then:
        return lambda: self.seen.reads.append((began, self.clock.now - began))

    def page(self, is_cold: bool, then: Then) -> None:
        """The way of a page through the stations."""

        def cost(of: str) -> float:
            return self._about(self.costs[f"read: {of}"] + is_cold * self.costs[f"rebuild: {of}"])

        server = cost("server") / 2
        self.servers.serve(
            server,
            lambda: self.redis.serve(
                cost("Redis"), lambda: self.databases.serve(cost("MongoDB"), lambda: self.servers.serve(server, then))
            ),
        )

    def write(self) -> None:
        """A tweet, by somebody with a power law's number of followers."""
        self.tweet(self.shape.followers(self.rng))

    def tweet(self, followers: int) -> None:
        """The way of a tweet through the stations, and of its event after it."""
        server = self._about(self.costs["write: server"]) / 2
        written = partial(self._written, followers if followers <= self.shape.threshold else 1)
        self.servers.serve(
            server,
            lambda: self.databases.serve(
                self._about(self.costs["read: MongoDB"]), lambda: self.servers.serve(server, written)
            ),
        )

    def _written(self, followers: int) -> None:
        self.seen.entries_made += followers
        worker = self.rng.choice(self.workers)
        self.clock.after(self.costs["hop"], partial(self._unit, worker, followers, self.clock.now))

    def _unit(self, worker: Station, left: int, written_at: float) -> None:
        """The next unit of a tweet; the one behind it waits its turn."""
        size = min(left, UNIT)

        def next_one() -> None:
            self.redis.serve(size * self.costs["entry: Redis"], partial(self._stored, size, written_at))
            if left > size:
                self._unit(worker, left - size, written_at)

        worker.serve(size * self.costs["entry: worker"], next_one)

    def _stored(self, size: int, written_at: float) -> None:
        self.seen.entries_written += size
        present = int(size * self.shape.present + self.rng.random())
        if present:
            shown = partial(self._shown, present, written_at)
            self.servers.serve(present * self.costs["delivery: server"], shown)

    def _shown(self, readers: int, written_at: float) -> None:
        self.seen.visible.append((written_at, self.clock.now - written_at, readers))

    def _about(self, seconds: float) -> float:
        """Some take longer than others: half of it is fixed, half is exponential."""
        return seconds * (0.5 + 0.5 * self.rng.expovariate(1))


def percentile(values: list[tuple[float, int]], share: float) -> float:
    """The value that `share` of the weights lie at or below; 0 for none."""
    ordered, total, so_far = sorted(values), sum(weight for _, weight in values), 0
    for value, weight in ordered:
        so_far += weight
        if so_far >= share * total:
            return value
    return 0.0

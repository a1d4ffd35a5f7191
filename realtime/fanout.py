"""Fan-out: gathers (reader, entry) pairs and writes them to many timelines in few scripts. Keeps each author's
order."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby

from realtime import keys, telemetry
from realtime.scripts import Arg, Scripts, fresh_token
from realtime.timelines import Bounds

# Redis does nothing else while a script runs. A pair takes it 4 us, and 19 us where the reader is present and the entry
# is numbered (medians of tests/bench/scripts.py): so one call stays below 2 ms.
PAIRS_PER_SCRIPT = 80
# So many wait in memory before they are written, in one pipeline of 500 scripts: what a full batch of average authors
# makes, so that all of it is written in order of entries.
PAIRS_GATHERED = 40_000
# A unit of an author with many readers: small enough that nobody notices waiting for a few of them.
UNIT_PAIRS = 500
# On a cluster a unit is so much more, as it is parted into many scripts and written by several servers.
PARTED = 4
# What is done to many timelines: the operation, the entry, and for a removal the tweet, for a push what is told with
# it. Sent once for its readers.
Run = tuple[str, int, Arg]
# A run and its readers, each by the tail of their keys.
Runs = list[tuple[Run, list[str]]]


class Fanout:
    """Operations on timelines, gathered over a batch of events and flushed in order, but that pushes beside each other
    go by entry. Idempotent when run again."""

    def __init__(self, scripts: Scripts, bounds: Bounds, turn: asyncio.Lock | None = None) -> None:
        self._scripts = scripts
        self._bounds = bounds
        self._runs: Runs = []
        self._pairs = 0
        self._flushing = asyncio.Lock()
        self._turn = turn
        self._limit = UNIT_PAIRS * (PARTED if scripts.by_slot else 1) if turn else PAIRS_GATHERED

    def apart(self, turn: asyncio.Lock) -> "Fanout":
        """One of its own for an author with many readers: writes units of 500 pairs, in turn with others."""
        return Fanout(self._scripts, self._bounds, turn)

    async def push(
        self, reader_ids: Iterable[int], entry_id: int, tweet_id: int = 0, people: Iterable[int] = ()
    ) -> None:
        """Add an entry to those of the readers' timelines that are kept. Those who are present are told which tweet it
        shows and whom it concerns, if that is given, so that these need not be looked up before they are read."""
        told = ".".join(map(str, people))
        await self._gather(("+", entry_id, f":{tweet_id}:0:{told}" if told else ""), reader_ids)

    async def unpush(self, reader_ids: Iterable[int], entry_id: int, tweet_id: int) -> None:
        """Take an entry that shows this tweet out again."""
        await self._gather(("-", entry_id, tweet_id), reader_ids)

    async def follows_changed(self, reader_id: int) -> None:
        """Tell a present reader that their page may look different now."""
        await self._gather(("f", 0, 0), [reader_id])

    def forget(self) -> None:
        """Drop what was gathered: its events will be handled again."""
        self._runs, self._pairs = [], 0

    async def flush(self) -> None:
        """Write what was gathered. One round trip; one at a time, so what is gathered meanwhile comes behind it."""
        async with self._flushing:
            await self._write()

    async def _flush_full(self) -> None:
        async with self._flushing:
            # Of many who waited one writes: what the others would write is next to nothing, in as many round trips.
            if self._pairs >= self._limit:
                await self._write()

    async def _write(self) -> None:
        runs, self._runs = self._runs, []
        count, self._pairs = self._pairs, 0
        if runs and self._turn:
            async with self._turn:
                await self._deliver(runs)
        elif runs:
            await self._deliver(runs)
        telemetry.PAIRS_WRITTEN.inc(count)

    async def _deliver(self, runs: Runs) -> None:
        bounds = self._bounds
        head = (bounds.kept_entries, bounds.trim_at, bounds.events_kept, bounds.presence_ms)
        calls: list[tuple[list[str], list[Arg]]] = []
        for part in (part for together in self._apart(_in_order(runs)) for part in _parts(together, PAIRS_PER_SCRIPT)):
            args: list[Arg] = [fresh_token(), *head]
            for run, tails in part:
                # One argument for all of them: a hundred cost the client and Redis several times as much.
                args += [*run, " ".join(tails)]
            calls.append(([f"tl:{part[0][1][0]}"], args))
        await self._scripts.run_each("deliver", calls)

    def _apart(self, runs: Runs) -> Iterable[Runs]:
        """What one script may take together, each in order: all of it, or of a cluster what has one tag."""
        if not self._scripts.by_slot:
            return [runs]
        parts: defaultdict[str, Runs] = defaultdict(list)
        for run, tails in runs:
            tagged: defaultdict[str, list[str]] = defaultdict(list)
            for tail in tails:
                tagged[tail.partition(":")[0]].append(tail)
            for tag, of_tag in tagged.items():
                parts[tag].append((run, of_tag))
        return parts.values()

    async def _gather(self, run: Run, reader_ids: Iterable[int]) -> None:
        tails = [keys.tail(reader_id) for reader_id in reader_ids]
        while tails:
            room = self._limit - self._pairs
            if room > 0:
                self._runs.append((run, tails[:room]))
                self._pairs += len(tails[:room])
                tails = tails[room:]
            if self._pairs >= self._limit:
                await self._flush_full()


def _in_order(runs: Runs) -> Runs:
    """Pushes that stand together go by entry: one that is newer than all that is kept is the cheapest."""
    ordered: Runs = []
    for are_pushes, group in groupby(runs, lambda one: one[0][0] == "+"):
        together = list(group)
        if are_pushes:
            together.sort(key=lambda one: one[0][1])
        ordered += together
    return ordered


def _parts(runs: Runs, size: int) -> Iterator[Runs]:
    """The same in order, cut into parts of so many pairs."""
    part: Runs = []
    room = size
    for run, tails in runs:
        at = 0
        while at < len(tails):
            taken = tails[at : at + room]
            part.append((run, taken))
            at, room = at + len(taken), room - len(taken)
            if not room:
                yield part
                part, room = [], size
    if part:
        yield part

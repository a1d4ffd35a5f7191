"""Fan-out: gathers (reader, entry) pairs and writes them to many timelines in few scripts. Keeps the order given."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from realtime import keys
from realtime.scripts import Arg, Scripts, fresh_token
from realtime.timelines import Bounds

# Below 100 the call costs more than its pairs; above 250 one script holds Redis up for milliseconds (measured).
PAIRS_PER_SCRIPT = 250
# So many wait in memory before they are written: one pipeline of 16 scripts.
PAIRS_GATHERED = 4000
# A unit of an author with many readers: small enough that nobody notices waiting for a few of them.
UNIT_PAIRS = 500
# What is done to many timelines: the operation, the entry, and for a removal the tweet. Sent once for its readers.
Run = tuple[str, int, int]


class Fanout:
    """Operations on timelines, gathered over a batch of events and flushed in order. Idempotent when run again."""

    def __init__(self, scripts: Scripts, bounds: Bounds, turn: asyncio.Lock | None = None) -> None:
        self._scripts = scripts
        self._bounds = bounds
        self._pairs: list[tuple[Run, str]] = []
        self._flushing = asyncio.Lock()
        self._turn = turn
        self._gathered = UNIT_PAIRS if turn else PAIRS_GATHERED

    def apart(self, turn: asyncio.Lock) -> "Fanout":
        """One of its own for an author with many readers: writes units of 500 pairs, in turn with others."""
        return Fanout(self._scripts, self._bounds, turn)

    async def push(self, reader_ids: Iterable[int], entry_id: int) -> None:
        """Add an entry to those of the readers' timelines that are kept."""
        await self._gather(("+", entry_id, 0), reader_ids)

    async def unpush(self, reader_ids: Iterable[int], entry_id: int, tweet_id: int) -> None:
        """Take an entry that shows this tweet out again."""
        await self._gather(("-", entry_id, tweet_id), reader_ids)

    async def follows_changed(self, reader_id: int) -> None:
        """Tell a present reader that their page may look different now."""
        await self._gather(("f", 0, 0), [reader_id])

    def forget(self) -> None:
        """Drop what was gathered: its events will be handled again."""
        self._pairs.clear()

    async def flush(self) -> int:
        """Write what was gathered; gives the number of pairs. One round trip; one at a time, so that what is gathered
        meanwhile comes behind it."""
        async with self._flushing:
            pairs, self._pairs = self._pairs, []
            if pairs and self._turn:
                async with self._turn:
                    await self._deliver(pairs)
            elif pairs:
                await self._deliver(pairs)
            return len(pairs)

    async def _deliver(self, pairs: Sequence[tuple[Run, str]]) -> None:
        bounds = self._bounds
        calls: list[tuple[list[str], list[Arg]]] = []
        for chunk in self._chunks(pairs):
            args: list[Arg] = [fresh_token(), bounds.kept_entries, bounds.trim_at]
            args += [bounds.events_kept, bounds.presence_ms]
            for run, group in groupby(chunk, itemgetter(0)):
                tails = [tail for _, tail in group]
                args += [*run, len(tails), *tails]
            calls.append(([f"tl:{chunk[0][1]}"], args))
        await self._scripts.run_each("deliver", calls)

    def _chunks(self, pairs: Sequence[tuple[Run, str]]) -> Iterator[list[tuple[Run, str]]]:
        for together in self._scripts.apart(pairs, itemgetter(1)):
            for at in range(0, len(together), PAIRS_PER_SCRIPT):
                yield together[at : at + PAIRS_PER_SCRIPT]

    async def _gather(self, run: Run, reader_ids: Iterable[int]) -> None:
        for reader_id in reader_ids:
            self._pairs.append((run, keys.tail(reader_id)))
            if len(self._pairs) >= self._gathered:
                await self.flush()

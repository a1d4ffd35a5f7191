"""The importer: streams users, follows and tweets from files into the store. Raises no events, never touches Redis."""

from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from datastore import import_rows
from datastore.import_files import Cells, FileError, ImportFile
from datastore.import_lines import RowError
from datastore.import_rows import COLUMNS
from datastore.import_writes import ImportWriter, Written
from datastore.mongo import Mongo
from datastore.records import ImportCounts

Row = TypeVar("Row")
OnError: TypeAlias = Literal["skip", "stop"]
# Kind of file, bytes read so far, bytes in all (None: a pipe, nobody knows).
Progress: TypeAlias = Callable[[str, int, int | None], None]
# Is given the ids of readers whose home timelines are no longer what the store says, after the store says it.
Touched: TypeAlias = Callable[[Collection[int]], Awaitable[None]]

# One transaction of this size takes about 0.1 s here; that is how long a like or follow of the same people may wait.
BATCH_ROWS = 2000
KEPT_ERRORS = 20
TOUCHED_AT_ONCE = 1000
# Authors of imported tweets, and their readers, are remembered up to here: who reads many of them is touched seldom.
REMEMBERED_AUTHORS = 10_000
REMEMBERED_READERS = 100_000
AUTHORS_AT_ONCE = 200


class ImportStopped(Exception):
    """Why the import ended early; all rows before that one are written. `counts` says what was done, by kind."""

    def __init__(self, message: str, counts: dict[str, ImportCounts]) -> None:
        super().__init__(message)
        self.counts = counts


async def run(
    mongo: Mongo,
    *,
    now_ms: int,
    users: Path | None = None,
    follows: Path | None = None,
    tweets: Path | None = None,
    on_error: OnError = "stop",
    progress: Progress | None = None,
    touched: Touched,
) -> dict[str, ImportCounts]:
    """Imports the files, users first and tweets last; the counts by kind, of the files given.

    Idempotent, and resumable by running it again after a crash. All files are opened, and their columns checked, before
    the first row is written. Raises ImportStopped; with "skip" only for a file that does not open or has wrong columns.
    """
    work = _Import(mongo, now_ms, on_error == "stop", progress, touched)
    with ExitStack() as opened:
        paths = {"users": users, "follows": follows, "tweets": tweets}
        try:
            files = {
                kind: opened.enter_context(ImportFile(path, COLUMNS[kind])) for kind, path in paths.items() if path
            }
        except FileError as error:
            raise ImportStopped(str(error), {}) from error
        for kind, file in files.items():
            await work.read(kind, file)
    return work.counts()


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A `progress` that draws one bar a file on stderr; draws nothing without a terminal or without tqdm."""
    bars: dict[str, Any] = {}

    def show(kind: str, done: int, total: int | None) -> None:
        with suppress(ImportError):  # tqdm comes with `make run`, a production image has none
            if kind not in bars:
                bar = import_module("tqdm").tqdm
                bars[kind] = bar(desc=kind, total=total, unit="B", unit_scale=True, disable=None)
            bars[kind].update(done - bars[kind].n)

    try:
        yield show
    finally:
        for bar in bars.values():
            bar.close()


@dataclass(slots=True)
class _Tally:
    name: str
    read: int = 0
    added: int = 0
    present: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    bad: int = 0

    def refuse(self, line: int, error: RowError) -> None:
        self.bad += 1
        if len(self.refused) < KEPT_ERRORS:
            self.refused.append((line, f"{self.name}:{line}: {error}"))

    def add(self, written: Written) -> None:
        self.added += written.added
        self.present += written.present
        for line, error in written.refused:
            self.refuse(line, error)

    def counts(self) -> ImportCounts:
        return ImportCounts(self.read, self.added, self.present, self.bad, [text for _, text in sorted(self.refused)])


def _readable(cells: Cells | RowError) -> Cells:
    if isinstance(cells, RowError):
        raise cells
    return cells


class _Import:
    """One run: what it was asked, and what it did so far."""

    def __init__(self, mongo: Mongo, now_ms: int, stop: bool, progress: Progress | None, touched: Touched) -> None:
        self._mongo = mongo
        self._now_ms = now_ms
        self._stop = stop
        self._progress = progress
        self._touched = touched
        self._writer = ImportWriter(mongo, now_ms, stop)
        self._tallies: dict[str, _Tally] = {}
        self._authors: set[int] = set()

    def counts(self) -> dict[str, ImportCounts]:
        return {kind: tally.counts() for kind, tally in self._tallies.items()}

    async def read(self, kind: str, file: ImportFile) -> None:
        """Imports one file. Raises ImportStopped at the first bad row if it was asked to."""
        tally = self._tallies[kind] = _Tally(file.name)
        more = True
        try:
            while more:
                more = await self._batch(kind, file, tally)
                if self._progress:
                    self._progress(kind, *file.progress())
                if self._stop and tally.refused:
                    raise ImportStopped(min(tally.refused)[1], self.counts())
        finally:
            await self._touch_followers()

    async def _batch(self, kind: str, file: ImportFile, tally: _Tally) -> bool:
        """Reads and writes the next rows; False if there are none."""
        before = tally.read
        if kind == "users":
            tally.add(await self._writer.users(self._rows(file, tally, import_rows.user)))
        elif kind == "follows":
            written = await self._writer.follows(self._rows(file, tally, import_rows.follow))
            tally.add(written)
            await self._touch(written.people)
        else:
            written = await self._writer.tweets(self._rows(file, tally, import_rows.tweet))
            tally.add(written)
            self._authors |= written.people
            if len(self._authors) >= REMEMBERED_AUTHORS:
                await self._touch_followers()
        return tally.read > before

    def _rows(self, file: ImportFile, tally: _Tally, parse: Callable[[int, Cells, int], Row]) -> list[Row]:
        """The good rows among the next ones; up to the first bad one if that is where to stop."""
        rows: list[Row] = []
        for line, cells in islice(file, BATCH_ROWS):
            tally.read += 1
            try:
                rows.append(parse(line, _readable(cells), self._now_ms))
            except RowError as error:
                tally.refuse(line, error)
                if self._stop:
                    break
        return rows

    async def _touch_followers(self) -> None:
        """Tells of the remembered authors and everybody who follows them, each about once."""
        authors, self._authors = list(self._authors), set()
        readers = set(authors)
        for at in range(0, len(authors), AUTHORS_AT_ONCE):
            query = {"_id.a": {"$in": authors[at : at + AUTHORS_AT_ONCE]}}
            async for doc in self._mongo.follows.find(query, {"_id.f": 1}):
                readers.add(doc["_id"]["f"])
                if len(readers) >= REMEMBERED_READERS:
                    await self._touch(readers)
                    readers = set()
        await self._touch(readers)

    async def _touch(self, readers: Collection[int]) -> None:
        ordered = sorted(readers)
        for at in range(0, len(ordered), TOUCHED_AT_ONCE):
            await self._touched(ordered[at : at + TOUCHED_AT_ONCE])

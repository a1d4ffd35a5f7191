"""Import files: CSV or JSON Lines, plain or gzipped, as numbered rows of named cells. Knows not what they mean."""

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias, cast

from datastore.import_lines import MAX_LINE_BYTES, Line, Lines, RowError, read_lines

# A quoted text may hold line breaks, a bio at most 159. After so many lines its quote was never closed.
MAX_RECORD_LINES = 200
_JSON_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})


class FileError(Exception):
    """Why no row of a file can be imported: it does not open, or its columns are not the right ones."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The names a row must and may have."""

    required: tuple[str, ...]
    optional: tuple[str, ...]

    def check(self, names: Sequence[str]) -> None:
        """Raises RowError with all that is wrong at once."""
        wrong = [f"column {name} is missing" for name in self.required if name not in names]
        wrong += [f"column {shown(name)} is unknown" for name in names if not self.knows(name)]
        wrong += [f"column {name} is there twice" for name in sorted(set(names)) if names.count(name) > 1]
        if wrong:
            expected = ", ".join([*self.required, *(f"{name}?" for name in self.optional)])
            raise RowError(f"{'; '.join(wrong[:5])} (expected: {expected})")

    def knows(self, name: str) -> bool:
        return name in self.required or name in self.optional


# A cell is absent where a row has none or an empty one.
Cells: TypeAlias = Mapping[str, str]
Record: TypeAlias = tuple[int, Cells | RowError]


class ImportFile:
    """One open file. Iterating gives (line number, cells or why there are none) once for each row that is not blank.

    The format is told by the name (.csv, .jsonl, .ndjson or .json, before any .gz), else by the first character, and
    gzip by its magic bytes. Opening raises FileError; reading raises nothing: a damaged file ends in one RowError.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        self.name = path.name
        try:
            self._raw = path.open("rb")
        except OSError as error:
            raise FileError(f"{path}: {error.strerror}") from error
        try:
            lines = Lines(read_lines(self._raw))
            is_json = _is_json(path, lines)
            self._records = _json_records(lines, columns) if is_json else _csv_records(lines, columns)
            # Runs the generator up to its header, so that a wrong one is refused before anything is written.
            next(self._records)
        except RowError as error:
            self._raw.close()
            raise FileError(f"{self.name}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._raw.close()

    def __iter__(self) -> Iterator[Record]:
        return cast(Iterator[Record], self._records)

    def progress(self) -> tuple[int, int | None]:
        """How many bytes of the file were read and how many it has; (0, None) for a pipe."""
        if not self._raw.seekable():
            return 0, None
        return self._raw.tell(), os.fstat(self._raw.fileno()).st_size


def shown(value: str) -> str:
    """The value in quotes, cut to 40 characters, without anything that would garble a terminal."""
    cut = value if len(value) <= 40 else value[:39] + "…"
    return f'"{cut}"' if cut.isprintable() else json.dumps(cut)


def _is_json(path: Path, lines: Lines) -> bool:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    suffix = suffixes[-1] if suffixes else ""
    if suffix == ".csv" or suffix in _JSON_SUFFIXES:
        return suffix != ".csv"
    if (first := lines.next_filled()) is None:
        return False
    lines.put_back([first])
    return first.text.lstrip().startswith("{")


# JSON Lines


def _json_records(lines: Lines, columns: Columns) -> Iterator[Record | None]:
    if (first := lines.next_filled()) is not None:
        lines.put_back([first])
        _check_first_object(first, columns)
    yield None
    while (line := lines.next_filled()) is not None:
        try:
            cells = _json_object(line)
            columns.check(list(cells))
            yield line.number, {name: cell for name, value in cells.items() if (cell := _json_cell(name, value))}
        except RowError as error:
            yield line.number, error


def _check_first_object(line: Line, columns: Columns) -> None:
    """The first object stands for a header, so that names which are wrong everywhere are one error, not one a row."""
    try:
        names = list(_json_object(line))
    except RowError:
        return
    if not all(map(columns.knows, names)) or not any(name in names for name in columns.required):
        columns.check(names)


def _json_object(line: Line) -> dict[str, object]:
    text = line.readable()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowError(f"this is not JSON: {shown(text)}") from error
    if not isinstance(value, dict):
        raise RowError(f"this is not a JSON object: {shown(text)}")
    return value


def _json_cell(name: str, value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise RowError(f"{name} is neither text nor a number")


# CSV (RFC 4180)


def _csv_records(lines: Lines, columns: Columns) -> Iterator[Record | None]:
    if (header := lines.next_filled()) is None:
        raise RowError(f"the file is empty; its first line names the columns: {', '.join(columns.required)}")
    names = [name.strip().lower() for name in _csv_cells(header.readable())]
    columns.check(names)
    yield None
    while (line := lines.next_filled()) is not None:
        try:
            cells = _csv_row(line, lines, len(names))
            yield line.number, {name: cell for name, cell in zip(names, cells, strict=True) if cell}
        except RowError as error:
            yield line.number, error


def _csv_row(line: Line, lines: Lines, width: int) -> list[str]:
    """The cells of the row that starts at `line`; takes the lines that its quoted cells run on into.

    A row that is wrong takes only its first line: one stray quote costs one row, not all up to the next quote.
    """
    text = line.readable()
    if '"' not in text:
        return _of_width(text.split(","), width)
    taken: list[Line] = []
    try:
        while (cells := _closed_cells(text)) is None:
            text += "\n" + _continuation(lines, taken, len(text))
        return _of_width(cells, width)
    except RowError:
        lines.put_back(taken)
        raise


def _continuation(lines: Lines, taken: list[Line], length: int) -> str:
    """The text up to the next line that may close a quote; its lines are added to `taken`."""
    parts: list[str] = []
    while not parts or '"' not in parts[-1]:
        line = lines.next()
        if line is not None:
            taken.append(line)
        if line is None or line.error or len(taken) > MAX_RECORD_LINES or length > MAX_LINE_BYTES:
            raise RowError("a quote is not closed")
        parts.append(line.text)
        length += len(line.text)
    return "\n".join(parts)


def _closed_cells(text: str) -> list[str] | None:
    """The cells, None if the text ends inside quotes."""
    try:
        return _csv_cells(text)
    except RowError as error:
        if "unexpected end of data" in str(error):
            return None
        raise


def _csv_cells(text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise RowError(f"this is not CSV: {error}") from error


def _of_width(cells: list[str], width: int) -> list[str]:
    if len(cells) != width:
        raise RowError(f"the row has {len(cells)} columns, the header {width}")
    return cells

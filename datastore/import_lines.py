"""Lines of an import file, plain or gzipped: numbered, decoded, or with the reason why not. Bounded memory."""

import gzip
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader

CHUNK_BYTES = 256 * 1024
# The longest good row is a bio and a name that JSON escapes twelvefold: 3 KB. What passes this is junk.
MAX_LINE_BYTES = 64 * 1024


class RowError(ValueError):
    """Why a row cannot be imported. Its file and line are known to whoever catches it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line: its text, or why it has none."""

    number: int
    text: str = ""
    error: str | None = None

    @property
    def is_blank(self) -> bool:
        return self.error is None and not self.text.strip()

    def readable(self) -> str:
        """The text. Raises RowError if it has none."""
        if self.error is not None:
            raise RowError(self.error)
        return self.text


class Lines:
    """Lines in order; those that were looked at ahead of their turn can be put back."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._ahead: deque[Line] = deque()

    def next(self) -> Line | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)

    def next_filled(self) -> Line | None:
        while (line := self.next()) is not None and line.is_blank:
            pass
        return line

    def put_back(self, lines: Sequence[Line]) -> None:
        self._ahead.extendleft(reversed(lines))


def read_lines(raw: BufferedReader) -> Iterator[Line]:
    """Every line of the file. Damage ends in one line that is an error."""
    is_gzip = raw.peek(2)[:2] == b"\x1f\x8b"
    source = gzip.GzipFile(fileobj=raw) if is_gzip else raw
    number, rest = 0, b""
    try:
        # read1 hands out what stands before the damage in a broken gzip file; read would lose it.
        while chunk := source.read1(CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                number += 1
                yield _decoded(number, line)
            rest = rest[: MAX_LINE_BYTES + 1]  # an enormous line is passed over, not kept
    except (EOFError, OSError, zlib.error) as error:
        # `rest` is dropped: the damage may have cut one name into another.
        yield Line(number + 1, error=f"the file is damaged from here on ({error})")
        return
    if rest:
        yield _decoded(number + 1, rest)


def _decoded(number: int, line: bytes) -> Line:
    if len(line) > MAX_LINE_BYTES:
        return Line(number, error=f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        return Line(number, error=f"byte {error.start + 1} of the line is not UTF-8")
    if "\0" in text:
        return Line(number, error="the line holds a NUL byte")
    return Line(number, text)

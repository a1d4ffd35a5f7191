"""Import files and rows: every format and every kind of damage gives cells or one clear reason, with its line."""

import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore import import_rows
from datastore.import_files import Columns, FileError, ImportFile
from datastore.import_lines import MAX_LINE_BYTES, RowError

NOW_MS = 1_800_000_000_000
EDGES = Columns(("follower", "followee"), ("created_at",))


def read(content: bytes, name: str = "rows.csv", columns: Columns = EDGES) -> list[tuple[int, dict[str, str] | str]]:
    """Line and cells, or the reason, of every row."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        with ImportFile(path, columns) as file:
            return [(line, str(cells) if isinstance(cells, RowError) else dict(cells)) for line, cells in file]


def edge(follower: str, followee: str) -> dict[str, str]:
    return {"follower": follower, "followee": followee}


PLAIN = b"follower,followee\nana,ben\nben,cat\n"
ROWS = [(2, edge("ana", "ben")), (3, edge("ben", "cat"))]


def test_a_plain_file_gives_its_rows_with_their_lines() -> None:
    assert read(PLAIN) == ROWS


def test_a_last_line_without_a_line_break_counts() -> None:
    assert read(PLAIN.rstrip()) == ROWS


def test_a_byte_order_mark_and_windows_line_ends_do_not_show() -> None:
    assert read(b"\xef\xbb\xbf" + PLAIN.replace(b"\n", b"\r\n")) == ROWS


def test_blank_lines_are_no_rows_but_count_as_lines() -> None:
    assert read(b"\n\nfollower,followee\n\nana,ben\n  \r\n\nben,cat\n\n") == [(5, ROWS[0][1]), (8, ROWS[1][1])]


def test_gzip_is_told_by_its_content_whatever_the_name() -> None:
    for name in ("rows.csv", "rows.csv.gz", "rows"):
        assert read(gzip.compress(PLAIN), name) == ROWS
        assert read(PLAIN, name) == ROWS


def test_json_lines_are_told_by_the_name_or_by_the_first_character() -> None:
    content = b'\n{"follower": "ana", "followee": "ben"}\n{"followee": "cat", "follower": "ben", "created_at": null}\n'
    for name in ("rows.jsonl", "rows.ndjson.gz", "rows.json", "rows.dat"):
        assert read(content, name) == ROWS


def test_columns_may_stand_in_any_order_and_be_absent() -> None:
    assert read(b"followee , Follower\nben,ana\n") == [(2, edge("ana", "ben"))]
    assert read(b"followee,created_at,follower\nben,,ana\n") == [(2, edge("ana", "ben"))]


def test_quoted_cells_hold_commas_quotes_and_line_breaks() -> None:
    content = b'follower,followee\n"a,b","say ""hi"""\n"one\r\ntwo\n\nfour",x\nana,ben\n'
    assert read(content) == [(2, edge("a,b", 'say "hi"')), (3, edge("one\ntwo\n\nfour", "x")), (7, edge("ana", "ben"))]


def test_a_stray_quote_costs_one_row() -> None:
    content = b'follower,followee\n"ana,ben\nben,cat\ncat,"dan\ndan,eve\n'
    assert read(content) == [
        (2, "this is not CSV: ',' expected after '\"'"),
        (3, edge("ben", "cat")),
        (4, "a quote is not closed"),
        (5, edge("dan", "eve")),
    ]
    far = b'follower,followee\n"ana,ben\n' + b"ben,cat\n" * 300 + b'"cat","dan"\n'
    rows = read(far)
    assert rows[0] == (2, "a quote is not closed")
    assert rows[1:] == [(line, edge("ben", "cat")) for line in range(3, 303)] + [(303, edge("cat", "dan"))]


def test_a_quote_inside_a_word_is_a_character() -> None:
    assert read(b'follower,followee\nana 5" tall,ben\n') == [(2, edge('ana 5" tall', "ben"))]


def test_a_bad_line_costs_one_row_and_says_why() -> None:
    content = b"follower,followee\nana\nana,b\xe9n\nana,ben\0\n" + b"x" * (MAX_LINE_BYTES + 1) + b"\na,b,c\nana,ben\n"
    assert read(content) == [
        (2, "the row has 1 columns, the header 2"),
        (3, "byte 6 of the line is not UTF-8"),
        (4, "the line holds a NUL byte"),
        (5, f"the line is longer than {MAX_LINE_BYTES} bytes"),
        (6, "the row has 3 columns, the header 2"),
        (7, edge("ana", "ben")),
    ]


def test_bad_json_costs_one_row_and_says_why() -> None:
    good = b'{"follower": "ana", "followee": "ben"}\n'
    rows = read(
        good
        + b"nonsense\n[1]\n"
        + b"[" * 50_000
        + b'\n{"follower": "ana", "followee": ["ben"]}\n{"follower": "ana"}\n{"follower": 1, "followee": 2, "why": 3}\n'
        + b'{"follower": '
        + b"9" * 5000
        + b', "followee": ""}\n'
        + good,
        "rows.jsonl",
    )
    reasons = [cells for _, cells in rows[1:-1]]
    assert rows[0] == (1, edge("ana", "ben"))
    assert rows[-1] == (9, edge("ana", "ben"))
    assert reasons[:2] == ['this is not JSON: "nonsense"', 'this is not a JSON object: "[1]"']
    assert str(reasons[2]).startswith("this is not JSON: ")
    assert reasons[3:5] == [
        "followee is neither text nor a number",
        "column followee is missing (expected: follower, followee, created_at?)",
    ]
    assert reasons[5] == 'column "why" is unknown (expected: follower, followee, created_at?)'
    assert str(reasons[6]).startswith("this is not JSON: ")


def test_a_truncated_gzip_file_gives_its_whole_lines_and_one_reason() -> None:
    content = b"follower,followee\n" + b"".join(b"u%d,author%d\n" % (at, at) for at in range(20_000))
    packed = gzip.compress(content)
    rows = read(packed[: len(packed) // 2])
    good = [(at + 2, edge(f"u{at}", f"author{at}")) for at in range(len(rows) - 1)]
    assert 100 < len(good) < 20_000
    assert rows[:-1] == good
    assert rows[-1][0] == len(rows) + 1
    assert str(rows[-1][1]).startswith("the file is damaged from here on")


def test_a_corrupted_gzip_file_gives_one_reason_and_no_traceback() -> None:
    packed = bytearray(gzip.compress(b"follower,followee\n" + b"".join(b"u%d,a\n" % at for at in range(20_000))))
    packed[len(packed) // 2 :] = b"\xff" * 200
    assert str(read(bytes(packed))[-1][1]).startswith("the file is damaged from here on")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty; its first line names the columns: follower, followee"),
        (b"u1,a1\nu2,a2\n", "column follower is missing; column followee is missing; column"),
        (b"follower,followed\n", 'column followee is missing; column "followed" is unknown'),
        (b"follower,followee,followee\n", "column followee is there twice"),
        (b"\xff\xfef\0o\0", "byte 1 of the line is not UTF-8"),
        (b'"follower,followee\n', "this is not CSV"),
        (gzip.compress(PLAIN, mtime=0)[:12], "the file is damaged from here on"),
        (b'{"followr": "ana", "followee": "ben"}\n', 'column follower is missing; column "followr" is unknown'),
        (b'{"created_at": 5}\n', "column follower is missing; column followee is missing"),
    ],
)
def test_wrong_columns_are_one_error(content: bytes, reason: str) -> None:
    name = "rows.jsonl" if content.startswith(b"{") else "rows.csv"
    with pytest.raises(FileError) as error:
        read(content, name)
    assert str(error.value).startswith(f"{name}: {reason}")
    assert "\n" not in str(error.value)


def test_a_file_that_does_not_open_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        ImportFile(tmp_path / "absent.csv", EDGES)
    with pytest.raises(FileError, match="directory"):
        ImportFile(tmp_path, EDGES)


def test_a_line_of_a_hundred_megabytes_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"follower,followee\n")
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b"\nana,ben\n")
    tracemalloc.start()
    with ImportFile(path, EDGES) as rows:
        assert [line for line, _ in rows] == [2, 3]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@given(st.binary(max_size=400), st.sampled_from(["rows.csv", "rows.jsonl", "rows"]), st.booleans())
def test_any_bytes_give_rows_in_order_or_one_error(junk: bytes, name: str, with_header: bool) -> None:
    content = PLAIN[:18] + junk if with_header else junk
    try:
        lines = [line for line, _ in read(content, name)]
    except FileError as error:
        assert "\n" not in str(error)  # noqa: PT017  either answer is right
    else:
        assert lines == sorted(set(lines))
        assert len(lines) <= content.count(b"\n") + 1


_CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1, max_size=20)


@given(st.lists(st.tuples(_CELL, _CELL), max_size=8))
def test_what_a_csv_writer_writes_is_read_back(cells: list[tuple[str, str]]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("follower", "followee"), *cells])
    assert [row for _, row in read(file.getvalue().encode())] == [edge(*pair) for pair in cells]


@given(st.lists(st.tuples(_CELL, _CELL), max_size=8))
def test_what_a_json_writer_writes_is_read_back(cells: list[tuple[str, str]]) -> None:
    content = "\n".join(json.dumps(edge(*pair)) for pair in cells)
    assert [row for _, row in read(content.encode(), "rows.jsonl")] == [edge(*pair) for pair in cells]


# Cells to rows


@pytest.mark.parametrize(
    ("value", "at_ms"),
    [
        ("2012-05-01", 1335830400000),
        ("2012-05-01T10:20:30Z", 1335867630000),
        ("2012-05-01T10:20:30.1239+02:00", 1335860430123),
        ("1335867630", 1335867630000),
        ("1335867630.129", 1335867630129),
        ("1335867630123", 1335867630123),
        ("1.33586763e9", 1335867630000),
        (" 2012-05-01 ", 1335830400000),
    ],
)
def test_times_are_iso_8601_or_epoch_seconds_or_milliseconds(value: str, at_ms: int) -> None:
    assert import_rows.follow(2, edge("ana", "ben") | {"created_at": value}, NOW_MS).at_ms == at_ms


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "nan",
        "-5",
        "²",
        "1e99",
        "2005-12-31",
        "2900-01-01",
        "0001-01-01T00:00+14:00",
        "1800000000.1",
        "20120501",
    ],
)
def test_other_times_are_refused(value: str) -> None:
    with pytest.raises(RowError, match="created_at"):
        import_rows.follow(2, edge("ana", "ben") | {"created_at": value}, NOW_MS)


@given(st.dictionaries(st.sampled_from(["follower", "followee", "created_at", "author", "text", "id"]), st.text()))
def test_any_cells_give_a_row_or_a_reason_that_can_be_printed(cells: dict[str, str]) -> None:
    for parse in (import_rows.user, import_rows.follow, import_rows.tweet):
        try:
            parse(2, cells, NOW_MS)
        except RowError as error:
            assert str(error).isprintable()  # noqa: PT017  either answer is right

"""The tables of the documents are complete and right: codes of errors, limits, reasons, close codes."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import GraphQLEnumType, build_schema

from datastore.errors import ErrorCode
from datastore.records import ResyncReason
from datastore.settings import Settings
from tests.processes import ROOT

DOCS = ROOT / "docs"
SCHEMA = build_schema((ROOT / "schema" / "schema.graphql").read_text())
ROOMS = ("schema", "resolvers", "realtime", "datastore")
ERRORS, LIMITS, LIVE = ((DOCS / name).read_text() for name in ("errors.md", "limits.md", "live.md"))
CODE = re.compile(r"[A-Z]+(?:_[A-Z]+)*")
UNITS = {"": 1, "s": 1, "KiB": 1024}


def first_cells(page: str, below: str) -> list[str]:
    """What stands in backticks at the beginning of the rows below a heading."""
    section = page.partition(f"\n## {below}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call of these functions, in all rooms."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names:
                    yield path.name, node


def raised() -> set[str]:
    """The codes of top-level errors, as the code has them: given to RequestError, to a refusal of the transport, or
    chosen where errors are rendered."""
    explain = ast.parse((ROOT / "schema" / "errors.py").read_text())
    given = [*(call for _, call in calls("RequestError", "refusal")), explain]
    strings = {node.value for one in given for node in ast.walk(one) if isinstance(node, ast.Constant)}
    return {one for one in strings if isinstance(one, str) and CODE.fullmatch(one) and len(one) > 3} | {
        "BAD_USER_INPUT"
    }


def test_every_code_of_a_refusal_is_told_and_no_other() -> None:
    assert first_cells(ERRORS, "Refusals of a mutation") == [code.value for code in ErrorCode]


def test_every_code_of_a_top_level_error_is_told_and_no_other() -> None:
    assert sorted(first_cells(ERRORS, "Errors of an operation")) == sorted(raised())


def test_every_status_that_the_transport_refuses_with_is_told() -> None:
    section = ERRORS.partition("\n## Statuses of HTTP\n")[2]
    told = {int(status) for status in re.findall(r"^\| (\d{3}) \|", section, re.MULTILINE)}
    given = {
        arg.value for _, call in calls("refusal", "HTTPException") for arg in call.args if isinstance(arg, ast.Constant)
    }
    statuses = {value for value in given if isinstance(value, int)}
    assert {413, 429, 503} <= statuses <= told


def test_every_reason_of_a_resync_is_told_and_no_other() -> None:
    assert sorted(first_cells(LIVE, "What goes over the wire")) == sorted(reason.value for reason in ResyncReason)


def test_every_code_that_closes_a_socket_is_told() -> None:
    told = set(re.findall(r"\b(4\d{3}|10\d{2})\b", LIVE.partition("| close code |")[2].partition("\n\n")[0]))
    sources = [*(ROOT / "schema").glob("*.py")]
    sources += (Path(str(importlib.import_module("strawberry.subscriptions").__file__)).parent).rglob(
        "*transport_ws*/*.py"
    )
    closing = set(re.findall(r"\b(44\d{2}|101[23])\b", "\n".join(path.read_text() for path in sources)))
    assert closing - told <= {"4500"}
    assert {"4403", "4429", "1012", "1013"} <= closing


def rows_of_enums() -> list[tuple[str, str, str]]:
    """(page, value, what is said of it) of each row that tells a value of the schema's."""
    known = {
        value for type_ in SCHEMA.type_map.values() if isinstance(type_, GraphQLEnumType) for value in type_.values
    }
    pages = {path.name: path.read_text() for path in (DOCS / name for name in ("errors.md", "live.md", "pages.md"))}
    rows = [
        (name, *row) for name, text in pages.items() for row in re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", text, re.M)
    ]
    return [row for row in rows if row[1] in known]


@pytest.mark.parametrize(("page", "value", "told"), rows_of_enums())
def test_what_is_said_of_a_value_is_what_the_schema_says(page: str, value: str, told: str) -> None:
    types = [
        type_ for type_ in SCHEMA.type_map.values() if isinstance(type_, GraphQLEnumType) and value in type_.values
    ]
    assert told in [(type_.values[value].description or "").replace("\n", " ") for type_ in types], page


def test_enough_values_are_told() -> None:
    assert len(rows_of_enums()) >= len(ErrorCode) + len(ResyncReason) + 7


def limits() -> list[tuple[str, str]]:
    return re.findall(r"^\|.*\| ([\d,]+(?: \w+)?) \| `([\w.]+)` \|$", LIMITS, re.MULTILINE)


@pytest.mark.parametrize(("told", "where"), limits())
def test_a_limit_is_what_the_code_has(told: str, where: str) -> None:
    number, _, unit = told.partition(" ")
    if where.isupper():
        value = Settings.model_fields[where.lower()].default
    else:
        module, _, name = where.rpartition(".")
        value = getattr(importlib.import_module(module), name)
    assert int(number.replace(",", "")) * UNITS[unit] == value


def test_every_row_of_the_limits_names_where_it_stands() -> None:
    rows = re.findall(r"^\| (?!what|---).*\|$", LIMITS, re.MULTILINE)
    assert len(rows) == len(limits()) > 25

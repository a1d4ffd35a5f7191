"""The house holds: imports point down, drivers stay at home, and only app.py reads the environment."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Lowest first: a room imports itself and what stands before it.
ROOMS = ["datastore", "realtime", "resolvers", "schema"]
# The standard-library-only modules of datastore, which anyone may import.
NOUNS = {"datastore.ids", "datastore.records", "datastore.rules", "datastore.errors"}
NOUNS |= {"datastore.entities", "datastore.terms"}
# Where each driver and framework may be imported.
HOMES = {
    "motor": ("datastore/mongo.py", "datastore/devserver.py"),
    "pymongo": ("datastore/mongo.py", "datastore/devserver.py"),
    "bson": ("datastore/mongo.py", "datastore/devserver.py"),
    "redis": ("realtime/",),
    "opentelemetry": ("datastore/tracing.py",),
    "starlette": ("schema/", "app.py"),
    "uvicorn": ("schema/server.py",),
    "strawberry": ("schema/", "resolvers/"),
    "pydantic_settings": ("datastore/settings.py",),
}
STANDARD = {"__future__", "base64", "collections", "dataclasses", "datetime", "enum", "functools", "itertools",
            "random", "re", "time", "typing", "unicodedata"}  # fmt: skip
FILES = sorted([ROOT / "app.py", *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))])


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    room = name_of(path).split("/")[0]
    allowed = ROOMS if room == "app.py" else ROOMS[: ROOMS.index(room) + 1]
    for name in imports(path):
        top = name.split(".")[0]
        assert top not in ROOMS or top in allowed, f"{name_of(path)} imports {name}"
        assert top not in ("app", "tests"), f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("path", [path for path in FILES if name_of(path).startswith("schema/")], ids=name_of)
def test_schema_reaches_past_the_resolvers_only_for_nouns(path: Path) -> None:
    for name in imports(path):
        if name.startswith("datastore"):
            assert any(name == noun or name.startswith(noun + ".") for noun in NOUNS), name
        assert not name.startswith("realtime"), name


@pytest.mark.parametrize("noun", sorted(NOUNS))
def test_nouns_need_only_the_standard_library(noun: str) -> None:
    path = ROOT / (noun.replace(".", "/") + ".py")
    for name in imports(path):
        assert name.split(".")[0] in STANDARD or any(name.startswith(other) for other in NOUNS | {"datastore.ids"}), (
            name
        )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_drivers_and_frameworks_stay_at_home(path: Path) -> None:
    for name in imports(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or name_of(path).startswith(homes), f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("path", FILES[1:], ids=name_of)
def test_only_app_reads_the_environment(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
            pytest.fail(f"{name_of(path)}:{node.lineno} reads the environment")
        # Making settings is reading the environment too.
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Settings":
            pytest.fail(f"{name_of(path)}:{node.lineno} makes settings")


@pytest.mark.parametrize("path", [path for path in FILES if name_of(path).startswith("resolvers/")], ids=name_of)
def test_resolvers_never_publish_or_enqueue(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("publish", "spublish", "xadd", "lpush", "rpush"), f"{name_of(path)}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_opens_with_a_sentence(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, name_of(path)
    assert docstring.split("\n\n")[0].rstrip().endswith("."), name_of(path)


def test_the_rooms_are_ours() -> None:
    # PyPI has packages called schema and realtime.
    for room in ROOMS:
        found = importlib.import_module(room).__file__
        assert found is not None
        assert Path(found).is_relative_to(ROOT / room)

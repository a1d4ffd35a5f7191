"""The documents say what is so: every path, name, command, setting, query and link in them exists."""

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from graphql import build_schema, parse, validate

import app
from datastore.errors import ErrorCode
from datastore.indexes import INDEXES
from datastore.records import ResyncReason
from datastore.settings import Settings, settings_table

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]
README, ARCHITECTURE = PAGES[0], PAGES[1]
SCHEMA = build_schema((ROOT / "schema" / "schema.graphql").read_text())
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

ROOMS = ("app", "schema", "resolvers", "realtime", "datastore", "tests")
SUFFIXES = ("py", "lua", "md", "toml", "graphql", "txt", "js", "json", "lock")
# What HTTP answers to, and no file.
ROUTES = {"/graphql", "/graphiql", "/app", "/healthz", "/readyz", "/metrics"}
# What commands make, and no part of the tree.
MADE = {"documents.json", "persisted-documents.json", "schema.graphql"}
HOSTS = {"127.0.0.1", "keepachangelog.com"}

INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    .*$", re.MULTILINE)
# Documents in a block: as the body of a request, or as a string of JavaScript or Python.
BODY = re.compile(r"-d '(\{.*\})'$", re.MULTILINE)
QUOTED = re.compile(
    r"= `((?:query|mutation|subscription) [^`]*)`|= \"((?:query|mutation|subscription) [^\"]*)\"$", re.MULTILINE
)
DOTTED = re.compile(rf"(?:{'|'.join(ROOMS)})(?:\.\w+)+")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def inline(page: Path) -> list[str]:
    """What stands in backticks, outside of blocks."""
    return INLINE.findall(FENCED.sub("", page.read_text()))


def code(page: Path) -> str:
    """All that is code: in backticks, in blocks, and indented."""
    text = page.read_text()
    blocks = [body for _, body in FENCED.findall(text)]
    return "\n".join([*inline(page), *blocks, *INDENTED.findall(FENCED.sub("", text))])


def anchors(page: Path) -> set[str]:
    """The names under which the headings of a page are linked to."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def definitions(tree: ast.AST, prefix: str = "") -> Iterator[str]:
    """The dotted names that a module defines at its top or within its classes."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from definitions(node, f"{prefix}{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))


def is_there(dotted: str) -> bool:
    """Whether importing and looking up leads to this name."""
    parts = dotted.split(".")
    for at in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:at]))
        except ModuleNotFoundError:
            continue
        for part in parts[at:]:
            if not hasattr(found, part):
                return part in getattr(found, "__annotations__", {})
            found = getattr(found, part)
        return True
    return False


@pages
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text())):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pages
def test_every_file_and_folder_that_is_named_exists(page: Path) -> None:
    tops = {path.name for path in ROOT.iterdir()}
    for name in inline(page):
        path, _, _ = name.partition("::")
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", path):
            continue
        is_path = path.split("/")[0] in tops if "/" in path else path.rpartition(".")[2] in SUFFIXES
        # .venv and .data are made by `make run`.
        if is_path and path not in MADE and not path.startswith((".venv", ".data")):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


@pages
def test_every_definition_that_is_named_exists(page: Path) -> None:
    for name in [*inline(page), *re.findall(r"\S+\.py::[\w.]+", code(page))]:
        path, found, definition = name.partition("::")
        if found:
            defined = set(definitions(ast.parse((ROOT / path).read_text())))
            assert definition in defined, f"{page.name}: {name}"
        elif DOTTED.fullmatch(name) and name not in MADE and not (ROOT / name).exists():
            assert is_there(name), f"{page.name}: {name}"


@pages
def test_every_command_that_is_named_exists(page: Path) -> None:
    for target in re.findall(r"\bmake ([a-z-]+)", code(page)):
        assert target in MAKE_TARGETS, target
    for command in re.findall(r"python -m app ([a-z-]+)", code(page)):
        assert command in app.COMMANDS, command


def test_every_setting_of_the_readme_exists_with_its_default() -> None:
    settings = {
        name: default
        for name, _, default, _ in (
            re.split(r"\s{2,}", line, maxsplit=3) for line in settings_table(Settings.model_construct()).splitlines()
        )
    }
    section = README.read_text().partition("\n## Settings\n")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `([A-Z_]+)` \| (\S+) \|", section, re.MULTILINE)
    assert len(told) > 10
    for name, default in told:
        assert settings.get(name) == default, name


@pages
def test_every_limit_in_capitals_is_a_setting_or_a_word_of_the_code(page: Path) -> None:
    known = {name.upper() for name in Settings.model_fields} | {code.value for code in (*ErrorCode, *ResyncReason)}
    sources = "\n".join(path.read_text() for room in ROOMS[1:-1] for path in (ROOT / room).rglob("*.py"))
    sources += (ROOT / "Makefile").read_text()
    for name in inline(page):
        if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", name):
            assert name in known or re.search(rf"\b{name}\b", sources), f"{page.name}: {name}"


def documents() -> list[str]:
    """Every GraphQL document of the README, whatever it is wrapped in."""
    found: list[str] = []
    for language, body in FENCED.findall(README.read_text()):
        if language == "graphql":
            found.append(body)
        found += [json.loads(given)["query"] for given in re.findall(BODY, body)]
        found += [text for quoted in QUOTED.findall(body) for text in quoted if text]
    return found


def test_the_readme_has_queries_mutations_and_subscriptions() -> None:
    assert len(documents()) >= 8
    kinds = {definition.operation.value for text in documents() for definition in parse(text).definitions}  # type: ignore[attr-defined]
    assert kinds == {"query", "mutation", "subscription"}


@pytest.mark.parametrize("document", documents())
def test_every_document_of_the_readme_fits_the_schema(document: str) -> None:
    assert validate(SCHEMA, parse(document)) == []


def test_every_collection_and_index_is_in_the_architecture() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*)$", ARCHITECTURE.read_text(), re.MULTILINE))
    for collection, indexes in INDEXES.items():
        fields = {field for keys, _ in indexes for field, _ in keys}
        for field in fields:
            assert re.search(rf"\b{re.escape(field)}\b", rows[collection]), f"{collection}: {field}"


def test_every_redis_key_is_in_the_architecture() -> None:
    source = (ROOT / "realtime" / "keys.py").read_text()
    names = set(re.findall(r"(?:return f|^[A-Z_]+ = )\"(\w+:\w*)", source, re.MULTILINE))
    assert len(names) > 8
    for name in names:
        assert f"| `{name}" in ARCHITECTURE.read_text(), name


def test_every_script_is_in_the_architecture_or_run_by_what_is() -> None:
    named = {Path(name).stem for name in inline(ARCHITECTURE) if name.endswith(".lua")}
    scripts = {path.stem for path in (ROOT / "realtime" / "lua").glob("*.lua")}
    assert named <= scripts
    assert scripts - named <= {"spend", "build_finish"}


@pages
def test_no_page_names_a_machine_or_a_registry(page: Path) -> None:
    text = page.read_text()
    for url in re.findall(r"\b(?:https?|wss?)://[^\s)\"'`>]+", text):
        assert urlsplit(url).hostname in HOSTS, url
    for path in re.findall(r"(?<![\w.:/*}<>-])/[a-z][\w-]*", FENCED.sub("", text)):
        assert path in ROUTES, path
    assert not re.search(r"/(home|root|work|tmp|usr|var)/", text)


def test_every_decision_has_its_parts_and_its_number() -> None:
    decisions = [page for page in PAGES if page.parent.name == "decisions"]
    for number, page in enumerate(decisions, 1):
        text = page.read_text()
        assert page.name.startswith(f"{number:04}-"), page.name
        assert text.startswith(f"# {number}. "), page.name
        titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert titles == ["Context", "Decision", "Consequences", "Alternatives"], page.name

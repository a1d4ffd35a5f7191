"""The page on generating code, done as it says: generated, compiled, trusted, and run against a server that serves
nothing else.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import app
from tests.clients.test_stores import INSTALLED, NODE, run
from tests.docs.story import FENCE
from tests.perch import Perch, serving
from tests.processes import ROOT

PAGE = (ROOT / "docs" / "codegen.md").read_text()
FILES = {info.removeprefix("file="): body for _, info, body in FENCE.findall(PAGE) if info.startswith("file=")}
COMMANDS = re.findall(r"^npx (\S+)$", PAGE, re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """The files of the page, the schema, and the packages."""
    assert (NODE / "node_modules").exists(), INSTALLED
    for name, text in {**FILES, "package.json": '{"type": "module"}', "schema.graphql": app.sdl()}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "node_modules").symlink_to(NODE / "node_modules")
    yield tmp_path
    (tmp_path / "node_modules").unlink()


async def test_the_page_does_what_it_says(perch: Perch, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert COMMANDS == ["graphql-codegen", "tsc"]
    for command in COMMANDS:
        await run(project, str(project / "node_modules" / ".bin" / command))
    monkeypatch.chdir(project)
    (trust,) = re.findall(r"^python -m app (documents .*)$", PAGE, re.MULTILINE)
    monkeypatch.setattr("sys.argv", ["app", *trust.split()])
    assert app.main() == 0
    only = perch.settings.model_copy(update={"trusted_documents": "only", "documents": project / "documents.json"})
    ann = await perch.person()
    for number in range(6):
        await ann.post(f"typed {number}")
    async with serving(only) as server:
        built = project / "built" / "home.js"
        built.write_text(built.read_text().replace("127.0.0.1:8000", server.url.removeprefix("http://")))
        monkeypatch.setitem(os.environ, "TOKEN", ann.token)
        printed = await run(project, "node", "built/home.js")
    assert printed.splitlines() == [f"SELF {ann.username} typed {number}" for number in (5, 4, 3, 2, 1)]
    # What nobody asked for is not there, says the compiler.
    source = project / "src" / "home.ts"
    source.write_text(source.read_text().replace("node.text)", "node.likeCount)"))
    with pytest.raises(AssertionError, match="likeCount"):
        await run(project, str(project / "node_modules" / ".bin" / "tsc"))

"""The page on trusted documents: its files are added by its command, and its requests sent to a server that serves
nothing else.
"""

import re
from pathlib import Path

import pytest

import app
from schema.documents import hash_of
from tests.docs.story import FENCE
from tests.docs.teller import DemoWorld, tell
from tests.perch import serving
from tests.processes import ROOT

PAGE = (ROOT / "docs" / "trusted-documents.md").read_text()
FILES = {info.removeprefix("file="): body for _, info, body in FENCE.findall(PAGE) if info.startswith("file=")}


async def test_the_page_does_what_it_says(
    demo_world: DemoWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(r"^python -m app (.*)$", PAGE, re.MULTILINE)
    monkeypatch.setattr("sys.argv", ["app", *command.split()])
    capsys.readouterr()
    assert app.main() == 0
    hashes = {"home": hash_of(FILES["operations/Home.graphql"]), "who": hash_of(FILES["operations/Who.graphql"])}
    (printed,) = (body for language, _, body in FENCE.findall(PAGE) if language == "text")
    assert capsys.readouterr().out == re.sub(r"<(\w+)>", lambda found: hashes[found[1]], printed)
    only = {"trusted_documents": "only", "documents": tmp_path / "documents.json"}
    async with serving(demo_world.perch.settings.model_copy(update=only)) as perch:
        assert await tell(DemoWorld(perch), PAGE, dict(hashes)) == 3

"""The pictures of the walks name what exists, and reach the rooms they draw."""

import re

import pytest

from tests.docs.story import FENCE
from tests.processes import ROOT
from tests.test_docs import DOTTED, is_there

PAGE = (ROOT / "docs" / "walks.md").read_text()
PICTURES = [body for language, _, body in FENCE.findall(PAGE) if language == "mermaid"]
MESSAGE = re.compile(r"(\w+) ?(?:-->>|->>|--\)) ?(\w+): (.+)")


def test_there_is_a_picture_for_each_walk() -> None:
    assert len(PICTURES) == len(re.findall(r"^## \d\. ", PAGE, re.MULTILINE)) == 7


@pytest.mark.parametrize("picture", PICTURES, ids=[f"{number}" for number in range(1, 8)])
def test_every_name_in_a_picture_exists(picture: str) -> None:
    names = {match[0] for match in DOTTED.finditer(picture)}
    scripts = set(re.findall(r"\w+\.lua", picture))
    assert len(names) >= 5
    assert [name for name in sorted(names) if not is_there(name)] == []
    assert [name for name in scripts if not (ROOT / "realtime" / "lua" / name).exists()] == []


@pytest.mark.parametrize("picture", PICTURES, ids=[f"{number}" for number in range(1, 8)])
def test_a_picture_is_drawn_by_the_rules_of_mermaid(picture: str) -> None:
    known = set(re.findall(r"participant (\w+) as ", picture))
    opened = 0
    for line in map(str.strip, picture.splitlines()[1:]):
        word = line.split()[0]
        if word in ("participant", "else"):
            continue
        if word in ("opt", "alt", "loop"):
            opened += 1
        elif word == "end":
            opened -= 1
        elif word == "Note":
            assert set(re.findall(r"\b[A-Z]\b", line.partition(":")[0])) <= known, line
        else:
            found = MESSAGE.fullmatch(line)
            assert found and {found[1], found[2]} <= known, line  # noqa: PT018
            assert not {";", "#"} & set(line), line  # the one ends a statement, the other begins an entity
    assert opened == 0
    drawn = {name for one in MESSAGE.finditer(picture) for name in one.groups()[:2]}
    assert drawn == known

"""The controls are of this tree: what each takes out is there once, its test exists, and the table tells of each."""

import ast
import re

import pytest

from tests.controls.control import REPAIR, ROOT, Control
from tests.controls.rules import CONTROLS

TABLE = (ROOT / "docs" / "faults.md").read_text()


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.rule)
def test_what_a_control_takes_out_is_there_once(control: Control) -> None:
    for path, old, new in (REPAIR, *control.edits):
        assert (ROOT / path).read_text().count(old) == 1, f"{path}: {old}"
        assert old != new


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.rule)
def test_the_test_of_a_control_exists(control: Control) -> None:
    path, _, name = control.test.partition("::")
    if control.test.startswith("-m "):
        path, name = control.test.split()[1].replace(".", "/") + ".py", "main"
    tree = ast.parse((ROOT / path).read_text())
    assert name in {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_table_tells_of_every_control_and_of_no_other() -> None:
    told = [" ".join(one.split()) for one in re.findall(r"“([^”]+)”", TABLE)]
    assert sorted(told) == sorted(one.rule for one in CONTROLS)

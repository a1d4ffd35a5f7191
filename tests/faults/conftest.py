"""One cluster in a box for all fault tests of a process, whole again before each."""

from collections.abc import AsyncIterator

import pytest

from tests.faults import box as boxes
from tests.faults.box import Box


@pytest.fixture(scope="session")
async def whole_box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    """Started once."""
    async with boxes.box(tmp_path_factory.mktemp("box")) as box:
        yield box


@pytest.fixture
async def box(whole_box: Box) -> AsyncIterator[Box]:
    """Nothing is broken and nothing is left to do."""
    await whole_box.repair()
    yield whole_box
    whole_box.thaw()
    assert whole_box.died == []

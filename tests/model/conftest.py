"""The model's servers: one set for each test process, and nobody else's."""

from collections.abc import AsyncIterator

import pytest

from tests.model.ground import ground
from tests.model.world import Ground


@pytest.fixture(scope="session")
async def model_ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    async with ground(tmp_path_factory.mktemp("model")) as found:
        yield found

"""One Chromium for all the tests of pages in a process."""

from collections.abc import AsyncIterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Any]:
    """A Browser of Playwright; without Playwright or Chromium its tests are skipped."""
    pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    from tests.browser import chromium

    if chromium.CHROMIUM is None:
        pytest.skip("no browser: install Chromium")
    async with chromium.launched() as found:
        yield found

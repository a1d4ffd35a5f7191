"""The web client as a person uses it in a test: opened, signed in to, written in, and looked at by axe."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Locator, expect

from tests.browser.chromium import REPORT_VIOLATIONS, Watched
from tests.perch import Person

WEB = Path(__file__).parents[2] / "web" / "client"
AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"

# A page on a busy machine.
SHOWN_MS = 30_000
expect.set_options(timeout=SHOWN_MS)

SERIOUS = """async () => (await axe.run()).violations
  .filter(({ impact }) => impact === "serious" || impact === "critical")
  .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`)"""


@dataclass
class Client(Watched):
    """One open window."""

    url: str = ""

    async def open(self, path: str = "") -> None:
        await self.page.goto(f"{self.url}/app{path}")

    async def log_in(self, person: Person) -> None:
        """By the form, up to the home timeline."""
        await self.open("/log-in")
        await self.page.get_by_label("Username or email").fill(person.username)
        await self.page.get_by_label("Password").fill(person.password)
        await self.page.get_by_role("button", name="Log in").click()
        await self.shows_home()

    async def shows_home(self) -> None:
        await expect(self.page.get_by_label("Home timeline")).to_have_attribute("aria-busy", "false")

    async def write(self, text: str, place: str = "What is happening?") -> None:
        await self.page.get_by_role("textbox", name=place).fill(text)

    async def post(self, text: str) -> None:
        """Written on the home page, and seen there."""
        await self.write(text)
        await self.button("Post").click()
        await self.sees(text)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def tweet(self, text: str) -> Locator:
        return self.page.locator("article[data-tweet]").filter(has=self.page.get_by_text(text, exact=True))

    async def sees(self, text: str) -> None:
        """Exactly one tweet that says so."""
        await expect(self.tweet(text)).to_have_count(1)

    async def shows_new(self, count: int) -> None:
        """So many wait; then they are shown."""
        words = f"{count} new {'tweet' if count == 1 else 'tweets'}"
        await self.page.get_by_role("button", name=words).click()

    async def go(self, name: str) -> None:
        await self.page.get_by_role("navigation").get_by_role("link", name=name).click()

    async def is_accessible(self) -> None:
        """axe has no serious finding, and nothing is wider than the window."""
        if not await self.page.evaluate("typeof axe === 'object'"):
            await self.page.evaluate(AXE.read_text())
        found = await self.page.evaluate(SERIOUS)
        assert found == [], found
        assert await self.page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


@asynccontextmanager
async def window(
    browser: Browser, url: str, width: int, scheme: Literal["light", "dark"] = "light"
) -> AsyncIterator[Client]:
    """An empty window, as wide as this, at this server; closed at the end."""
    # Half-way through a change of colours axe would find too little contrast.
    context = await browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    await context.add_init_script(REPORT_VIOLATIONS)
    client = Client(await context.new_page(), url=url)
    client.watch()
    try:
        yield client
    finally:
        await asyncio.wait_for(context.close(), SHOWN_MS / 1000)

"""GraphiQL in a real browser: its examples run as they are, live ones too, and nothing leaves this machine."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import httpx
import pytest

pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from playwright.async_api import Browser, Locator, expect

from tests.browser.chromium import REPORT_VIOLATIONS, Watched

DIST = Path(__file__).parents[2] / "web" / "graphiql" / "dist"
pytestmark = pytest.mark.skipif(not (DIST / "index.html").is_file(), reason="GraphiQL is not built: make graphiql")

# Loading Monaco takes seconds on a busy machine.
LOADED_MS = 30_000
ANSWERED_MS = 15_000

REMEMBERED_OTHER_THAN = """(tokens) =>
  [JSON.parse(sessionStorage.getItem("perch:session"))?.accessToken].find((it) => it && !tokens.includes(it))"""

LOG_IN = """mutation {
  logIn(input: {usernameOrEmail: "demo", password: "perch-demo-2006"}) { tokens { accessToken } }
}"""
POST = "mutation Post($text: String!) { postTweet(input: {text: $text}) { errors { code } } }"


class Server(Protocol):
    """What the live_server fixture gives."""

    url: str


@dataclass
class GraphiQL(Watched):
    """One open page, and all it did that it should not."""

    @property
    def response(self) -> Locator:
        return self.page.get_by_role("region", name="Result Window")

    @property
    def session_line(self) -> Locator:
        return self.page.locator(".perch-session")

    async def open(self, url: str) -> None:
        await self.page.goto(f"{url}/graphql")
        await self._shows("mutation LogIn", LOADED_MS)

    async def run(self, operation: str, headers: dict[str, str] | None = None) -> None:
        """Runs the example tab of e.g. "query HomeTimeline", with these in its headers editor."""
        await self.page.get_by_role("tab", name=operation.split()[1]).click()
        await self._shows(operation, ANSWERED_MS)
        if headers:
            await self._set_headers(headers)
        await self.page.get_by_role("button", name="Execute query").click()

    async def connect(self, operation: str) -> None:
        """Runs a subscription and waits until the server has accepted its socket."""
        await self.run(operation)
        await self.is_connected()

    async def _set_headers(self, headers: dict[str, str]) -> None:
        await self.page.get_by_role("button", name="Headers", exact=True).click()
        await self.page.get_by_role("region", name="Headers").locator(".monaco-editor").last.click()
        # Inserted at once: typed, the editor would close each bracket and quote again.
        await self.page.keyboard.insert_text(json.dumps(headers))

    async def _shows(self, text: str, timeout_ms: float) -> None:
        editor = self.page.get_by_role("region", name="Operation Editor")
        await expect(editor.locator(".view-lines")).to_contain_text(text, timeout=timeout_ms)


@pytest.fixture(params=["light"])
async def graphiql(
    request: pytest.FixtureRequest, browser: Browser, live_server: Server, demo_account: object
) -> AsyncIterator[GraphiQL]:
    context = await browser.new_context(color_scheme=request.param, viewport={"width": 1280, "height": 800})
    await context.add_init_script(REPORT_VIOLATIONS)
    graphiql = GraphiQL(await context.new_page())
    graphiql.watch()
    await graphiql.open(live_server.url)
    yield graphiql
    await context.close()


@pytest.mark.parametrize("graphiql", ["light", "dark"], indirect=True)
async def test_its_examples_run_one_after_another_and_nothing_leaves_the_machine(
    graphiql: GraphiQL, live_server: Server, tmp_path: Path
) -> None:
    await expect(graphiql.page).to_have_title("Perch · GraphiQL")
    await expect(graphiql.session_line).to_contain_text("Not signed in")
    await graphiql.run("mutation LogIn")
    await expect(graphiql.response).to_contain_text('"accessToken"', timeout=ANSWERED_MS)
    await expect(graphiql.session_line).to_contain_text("Signed in as demo")
    await graphiql.page.screenshot(path=tmp_path / "log-in.png")

    await graphiql.run("mutation Post")
    await expect(graphiql.response).to_contain_text("Hello from GraphiQL", timeout=ANSWERED_MS)
    await graphiql.run("query HomeTimeline")
    await expect(graphiql.response).to_contain_text('"liveCursor"', timeout=ANSWERED_MS)
    await graphiql.page.screenshot(path=tmp_path / "home-timeline.png")

    # Behind the page that HomeTimeline read, so whatever was posted since then comes.
    text = f"missed-{uuid4().hex[:8]}"
    async with api(live_server) as client:
        await post(client, await log_in(client), text)
    await graphiql.run("subscription Resume")
    await expect(graphiql.response).to_contain_text(text, timeout=ANSWERED_MS)

    await graphiql.run("subscription Live")
    await post_until_seen(graphiql, live_server)
    await graphiql.page.screenshot(path=tmp_path / "live.png")

    assert graphiql.hosts == {"127.0.0.1"}
    assert graphiql.errors == []


async def test_a_token_in_the_headers_editor_goes_with_queries_and_with_subscriptions(
    graphiql: GraphiQL, live_server: Server
) -> None:
    async with api(live_server) as client:
        authorization = await log_in(client)
    await graphiql.run("query HomeTimeline", {"Authorization": authorization})
    await expect(graphiql.response).to_contain_text('"liveCursor"', timeout=ANSWERED_MS)
    await graphiql.run("subscription Live", {"Authorization": authorization})
    await post_until_seen(graphiql, live_server)
    assert [connection["authorization"] for connection in graphiql.connections] == [authorization]
    await expect(graphiql.session_line).to_contain_text("Not signed in")


async def test_a_new_token_is_used_at_once_and_logging_out_ends_what_was_open(graphiql: GraphiQL) -> None:
    tokens: list[str] = []
    for _ in range(2):
        await graphiql.run("mutation LogIn")
        tokens.append(await token_other_than(tokens, graphiql))
        await graphiql.connect("subscription Live")
    assert [connection["authorization"] for connection in graphiql.connections] == [f"Bearer {one}" for one in tokens]

    await expect(graphiql.page.get_by_role("button", name="Stop query")).to_be_visible()
    await graphiql.session_line.get_by_role("button", name="log out").click()
    await expect(graphiql.session_line).to_contain_text("Not signed in")
    await expect(graphiql.page.get_by_role("button", name="Execute query")).to_be_visible()


async def test_a_remembered_token_that_the_server_refuses_is_forgotten_so_that_logging_in_works(
    graphiql: GraphiQL, live_server: Server
) -> None:
    stale = {"username": "demo", "accessToken": "stale", "refreshToken": None, "expiresAtMs": None}
    await graphiql.page.evaluate("(value) => sessionStorage.setItem('perch:session', value)", json.dumps(stale))
    await graphiql.open(live_server.url)
    await graphiql.run("query HomeTimeline")
    await expect(graphiql.session_line).to_contain_text("Not signed in", timeout=ANSWERED_MS)
    await graphiql.run("mutation LogIn")
    await expect(graphiql.session_line).to_contain_text("Signed in as demo", timeout=ANSWERED_MS)


async def token_other_than(tokens: list[str], graphiql: GraphiQL) -> str:
    """The token that the page remembers, once it is a new one."""
    handle = await graphiql.page.wait_for_function(REMEMBERED_OTHER_THAN, arg=tokens, timeout=ANSWERED_MS)
    return str(await handle.json_value())


def api(server: Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, trust_env=False)


async def log_in(client: httpx.AsyncClient) -> str:
    """The value of an Authorization header."""
    answer = (await client.post("/graphql", json={"query": LOG_IN})).json()
    return f"Bearer {answer['data']['logIn']['tokens']['accessToken']}"


async def post(client: httpx.AsyncClient, authorization: str, text: str) -> None:
    """A tweet of the demo account."""
    body = {"query": POST, "variables": {"text": text}}
    answer = (await client.post("/graphql", json=body, headers={"Authorization": authorization})).json()
    assert answer["data"] == {"postTweet": {"errors": []}}


async def post_until_seen(graphiql: GraphiQL, server: Server) -> None:
    """Posts from elsewhere until the response pane shows it.

    Nobody outside can tell when a subscription stands, so the first tweets may come too early for it.
    """
    async with api(server) as client:
        authorization = await log_in(client)
        for _ in range(5):
            text = f"live-{uuid4().hex[:8]}"
            await post(client, authorization, text)
            with suppress(AssertionError):
                await expect(graphiql.response).to_contain_text(text, timeout=5000)
                return
    pytest.fail("no posted tweet appeared in the response pane")

"""The web client while its server is killed and comes back, its network goes without a word, and answers are lost: no
tweet is missing, and none is there twice."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from playwright.async_api import Browser, Route, expect

from tests.browser.client import WEB, Client, window
from tests.faults.line import Line, line
from tests.perch import Person
from tests.processes import Cluster, kill

pytestmark = pytest.mark.skipif(not (WEB / "dist" / "index.html").is_file(), reason="not built: make client")

THEIRS = "query ($name: String!) { user(username: $name) { tweets(first: 100) { nodes { text } } } }"


async def test_a_reader_and_writer_outlives_a_killed_server_a_cut_network_and_lost_answers(
    apart: tuple[str, str], tmp_path: Path, browser: Browser
) -> None:
    async with AsyncExitStack() as stack:
        # Two likes a day are enough for anybody.
        cluster = Cluster(apart, tmp_path, RATE_LIMITS="on", LIKES_A_DAY="2")
        stack.push_async_callback(cluster.stop)
        first = await cluster.start("serve")
        await cluster.start("work")
        other = await cluster.second_server()
        elsewhere = await stack.enter_async_context(other.perch())
        reader, ann = await elsewhere.persons(2)
        await reader.follow(ann)
        await ann.post("Before it all")
        await elsewhere.settle()
        road = await stack.enter_async_context(line(cluster.port))
        async with cluster.perch():
            url = f"http://127.0.0.1:{road.port}"
            client = await stack.enter_async_context(window(browser, url, 1440))
            await client.log_in(reader)
            await client.sees("Before it all")
            await client.is_connected()
        await kill(first)
        await writes_into_nothing(client, ann)
        await cluster.start("serve")
        async with cluster.perch():
            await all_is_there(client)
        await with_the_network_cut(client, ann, road)
        await with_a_lost_answer(client)
        await with_a_lost_answer_and_a_reload(client)
        await has_too_much_of_it(client)
        assert client.hosts == {"127.0.0.1"}
        assert [error for error in client.errors if "CSP" in error] == []
        await posted_once_each(reader)


async def writes_into_nothing(client: Client, ann: Person) -> None:
    """Somebody else posts through another server; what one posts oneself waits, and says so."""
    await ann.post("From Ann during the kill")
    await client.write("From me during the kill")
    await client.button("Post").click()
    await expect(client.button("Sending")).to_be_visible()
    await says_lost(client)


async def all_is_there(client: Client) -> None:
    """Once each, without a reload."""
    await client.sees("From me during the kill")
    await client.shows_new(1)
    await client.sees("From Ann during the kill")
    await says_nothing(client)
    await is_sent(client)


async def with_the_network_cut(client: Client, ann: Person, road: Line) -> None:
    """Connections end, and new ones get no answer at all. What comes then comes by the live cursor alone."""
    road.hold()
    road.cut()
    await ann.post("From Ann during the cut")
    await says_lost(client)
    road.pass_on()
    await client.shows_new(1)
    await client.sees("From Ann during the cut")
    await says_nothing(client)


async def says_lost(client: Client) -> None:
    await expect(client.page.get_by_text("No connection to Perch.")).to_be_visible()


async def says_nothing(client: Client) -> None:
    await expect(client.page.get_by_text("No connection to Perch.")).to_have_count(0)


@asynccontextmanager
async def answers_lost(client: Client, times: int) -> AsyncIterator[list[str]]:
    """What is posted reaches the server, but so many answers do not arrive; gives the bodies that were sent."""
    asked: list[str] = []

    async def lose(route: Route) -> None:
        body = route.request.post_data or ""
        if "PostTweet" in body:
            asked.append(body)
        if "PostTweet" in body and len(asked) <= times:
            await route.fetch()
            await route.abort("connectionreset")
        else:
            await route.continue_()

    await client.page.route("**/graphql", lose)
    yield asked
    await client.page.unroute_all(behavior="ignoreErrors")


async def with_a_lost_answer(client: Client) -> None:
    """Asked again under the same key, it is one tweet."""
    async with answers_lost(client, 1) as asked:
        await client.post("Heard twice")
        await is_sent(client)
    assert len(asked) == 2
    assert asked[0] == asked[1]


async def with_a_lost_answer_and_a_reload(client: Client) -> None:
    """Reloaded before any answer came, the draft is still there, and sent again it is the same tweet."""
    text = "Sent from a page that is gone"
    async with answers_lost(client, 1000):
        await client.post(text)
    await client.page.reload()
    await expect(client.page.get_by_role("textbox", name="What is happening?")).to_have_value(text)
    await client.button("Post").click()
    await is_sent(client)
    await client.sees(text)


async def is_sent(client: Client) -> None:
    """An answer has come, so the field is empty again."""
    await expect(client.page.get_by_role("textbox", name="What is happening?")).to_have_value("")


async def has_too_much_of_it(client: Client) -> None:
    """The third like of the day is taken back, and it is said when there will be another."""
    texts = [f"From Ann during {when}" for when in ("the kill", "the cut")] + ["Before it all"]
    for text in texts[:2]:
        await client.tweet(text).get_by_role("button", name="Like, 0").click()
        await expect(client.tweet(text).get_by_role("button", name="Like, 1")).to_be_visible()
    await client.tweet(texts[2]).get_by_role("button", name="Like, 0").click()
    await expect(client.page.locator(".notice")).to_contain_text("That was too often. Try again in")
    await expect(client.tweet(texts[2]).get_by_role("button", name="Like, 0")).to_be_visible()


async def posted_once_each(reader: Person) -> None:
    """On the server too."""
    texts = [node["text"] for node in (await reader.do(THEIRS, name=reader.username))["user"]["tweets"]["nodes"]]
    assert sorted(texts) == [
        "From me during the kill",
        "Heard twice",
        "Sent from a page that is gone",
    ]

"""The web client in a real browser, on real servers: everything one does with it, at both widths."""

import asyncio
from uuid import uuid4

import pytest

pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from playwright.async_api import Browser, expect

from tests.browser.client import SHOWN_MS, WEB, Client, window
from tests.perch import PASSWORD, Perch, Person

pytestmark = pytest.mark.skipif(not (WEB / "dist" / "index.html").is_file(), reason="not built: make client")

REGARD = """query ($name: String!) { user(username: $name) {
  followerCount viewerIsFollowing viewerHasMuted viewerHasBlocked } }"""
LIKES = "query ($id: ID!) { tweet(id: $id) { likeCount viewerHasLiked viewerHasRetweeted replyCount } }"
NEAR_ITS_END = """() => {
  const session = JSON.parse(localStorage.getItem("perch:session"));
  localStorage.setItem("perch:session", JSON.stringify({ ...session, expiresAtMs: Date.now() }));
  window.dispatchEvent(new StorageEvent("storage", { key: "perch:session" }));
}"""
LEAVE = "mutation { logOut(input: {everywhere: true}) { errors { code } } }"


async def test_somebody_signs_up_reads_writes_and_leaves(perch: Perch, browser: Browser) -> None:
    ann, *fans = await perch.persons(6)
    word = f"tea{uuid4().hex[:8]}"
    tweet = await ann.post(f"First of the #{word}")
    for fan in fans:
        await fan.like(tweet["id"])
    async with window(browser, perch.url, 1440) as client:
        await signs_up(client)
        await finds_and_follows(client, ann, word)
        await perch.settle()
        await client.go("Home")
        await client.sees(tweet["text"])
        await client.is_accessible()
        await writes(client)
        await likes_retweets_and_answers(client, ann, tweet)
        await hears_of_what_is_new(client, ann)
        await is_told_what_was_refused(client, ann, word)
        await client.go("Top")
        await client.sees(tweet["text"])
        await client.is_accessible()
        await regards(client, perch, ann)
        await client.button("Log out").click()
        await expect(client.page.get_by_role("heading", name="Log in")).to_be_visible()
        assert await client.page.evaluate("localStorage.length") == 0
        assert client.errors == []
        assert client.hosts == {"127.0.0.1"}


async def signs_up(client: Client) -> None:
    """After a refusal that the form shows at its field."""
    name = f"w{uuid4().hex[:10]}"
    await client.open()
    await expect(client.page.get_by_role("heading", name="Log in")).to_be_visible()
    await client.is_accessible()
    await client.page.get_by_role("link", name="Sign up").click()
    await client.page.get_by_label("Username").fill(name)
    await client.page.get_by_label("Email").fill(f"{name}@perch.example")
    await client.page.get_by_label("Password").fill("short")
    await client.button("Sign up").click()
    await expect(client.page.get_by_role("alert")).to_have_text("A password has 8 to 128 characters.")
    await client.is_accessible()
    await client.page.get_by_label("Password").fill(PASSWORD)
    await client.button("Sign up").click()
    await client.shows_home()
    await expect(client.page.get_by_text("Nothing here yet.")).to_be_visible()


async def finds_and_follows(client: Client, ann: Person, word: str) -> None:
    """A tweet by its hashtag, and its author by name."""
    await client.go("Search")
    search = client.page.get_by_role("searchbox")
    await search.fill(f"#{word}")
    await search.press("Enter")
    await client.sees(f"First of the #{word}")
    await client.is_accessible()
    await client.page.get_by_role("searchbox").fill(ann.username)
    await client.page.get_by_role("searchbox").press("Enter")
    await client.button("People").click()
    await client.button(f"Follow {ann.username}").click()
    await expect(client.button(f"Follow {ann.username}")).to_have_text("Following")


async def writes(client: Client) -> None:
    """At most 140 characters, counted as the server does; then it is there, and goes again."""
    await client.write("e\u0301" * 141)
    await expect(client.page.get_by_text("1 characters too many")).to_be_attached()
    await expect(client.button("Post")).to_be_disabled()
    await client.write("e\u0301" * 140)
    await expect(client.page.get_by_text("0 characters left")).to_be_attached()
    await expect(client.button("Post")).to_be_enabled()
    await client.post("Hello from a branch")
    await expect(client.page.get_by_role("textbox", name="What is happening?")).to_have_value("")

    await client.page.keyboard.press("Escape")
    await client.page.locator("main").focus()
    await client.page.keyboard.press("j")
    await expect(client.tweet("Hello from a branch")).to_be_focused()
    await client.page.keyboard.press("n")
    await expect(client.page.get_by_role("textbox", name="What is happening?")).to_be_focused()

    await client.tweet("Hello from a branch").get_by_role("button", name="Delete").click()
    await client.is_accessible()
    await client.button("Delete it").click()
    await expect(client.tweet("Hello from a branch")).to_have_count(0)


async def likes_retweets_and_answers(client: Client, ann: Person, tweet: dict[str, str]) -> None:
    """With each button saying how it stands, and the server the same."""
    card = client.tweet(tweet["text"])
    await card.get_by_role("button", name="Like, 5").click()
    await expect(card.get_by_role("button", name="Like, 6")).to_have_attribute("aria-pressed", "true")
    await card.get_by_role("button", name="Retweet, 0").click()
    await expect(card.get_by_role("button", name="Retweet, 1")).to_have_attribute("aria-pressed", "true")
    await card.get_by_role("button", name="Reply, 0").click()
    await expect(client.page.get_by_role("textbox", name="Your reply")).to_be_focused()
    await client.write("So say I", "Your reply")
    await client.button("Reply").click()
    await client.sees("So say I")
    await client.is_accessible()
    counts = (await ann.do(LIKES, id=tweet["id"]))["tweet"]
    assert counts == {"likeCount": 6, "viewerHasLiked": False, "viewerHasRetweeted": False, "replyCount": 1}
    await client.tweet("So say I").get_by_role("time").click()
    await expect(client.page.locator(".tweet-main")).to_contain_text("So say I")
    await client.tweet("So say I").last.get_by_role("button", name="Delete").click()
    await client.button("Delete it").click()
    await expect(client.page.get_by_text("This tweet is gone")).to_be_visible()
    await client.page.go_back()
    await client.sees(tweet["text"])
    await client.is_connected()
    await client.page.reload()
    await expect(client.page.get_by_role("button", name="Like, 6")).to_have_attribute("aria-pressed", "true")
    await expect(client.page.get_by_role("button", name="Retweet, 1")).to_have_attribute("aria-pressed", "true")


async def hears_of_what_is_new(client: Client, ann: Person) -> None:
    """Wherever one is; what one wrote oneself is there at once, what others wrote when one asks for it."""
    await expect(client.page.get_by_label("1 new")).to_have_count(0)
    await client.is_connected()
    await ann.post("Something new from Ann")
    await expect(client.page.get_by_label("1 new", exact=True)).to_be_visible()
    await client.go("Home")
    await expect(client.tweet("Something new from Ann")).to_have_count(0)
    await client.shows_new(1)
    await client.sees("Something new from Ann")


async def is_told_what_was_refused(client: Client, ann: Person, word: str) -> None:
    """A like of a tweet that went meanwhile is taken back, and the card with it."""
    gone = await ann.post(f"Soon gone #{word}")
    await client.go("Search")
    await client.page.get_by_role("searchbox").fill(f"gone #{word}")
    await client.page.get_by_role("searchbox").press("Enter")
    await client.sees(gone["text"])
    await ann.delete(gone["id"])
    await client.tweet(gone["text"]).get_by_role("button", name="Like, 0").click()
    await expect(client.page.locator(".notice")).to_be_visible()
    await expect(client.tweet(gone["text"])).to_have_count(0)
    await client.open(f"/tweet/{gone['id']}")
    await expect(client.page.get_by_text("This tweet is gone")).to_be_visible()


async def regards(client: Client, perch: Perch, ann: Person) -> None:
    """Unfollow, mute and block, on the profile, where one reads the words of others and writes one's own."""
    await client.go("Profile")
    await client.button("Edit profile").click()
    await client.page.get_by_label("Name", exact=True).fill("Wren")
    await client.page.get_by_label("About you").fill("Small and loud")
    await client.button("Save").click()
    await expect(client.page.get_by_role("heading", name="Wren")).to_be_visible()
    await expect(client.page.get_by_text("Small and loud")).to_be_visible()
    await client.open(f"/user/{ann.username}")
    await client.button(f"Follow {ann.username}").click()
    await expect(client.button(f"Follow {ann.username}")).to_have_text("Follow")
    await client.button("Mute").click()
    await expect(client.button("Muted")).to_be_visible()
    await client.button("Block").click()
    await expect(client.button("Blocked")).to_be_visible()
    await client.is_accessible()
    token = await client.page.evaluate("JSON.parse(localStorage.getItem('perch:session')).accessToken")
    regard = (await perch.ask(REGARD, token, name=ann.username)).data["user"]
    assert regard == {
        "followerCount": 0,
        "viewerIsFollowing": False,
        "viewerHasMuted": True,
        "viewerHasBlocked": True,
    }


async def test_on_a_small_screen_all_of_a_timeline_is_read_and_an_ended_session_leads_to_the_log_in(
    perch: Perch, browser: Browser
) -> None:
    ann, reader = await perch.persons(2)
    await reader.follow(ann)
    texts = [f"Tweet {number} of many" for number in range(45)]
    for text in texts:
        await ann.post(text)
    await perch.settle()
    async with window(browser, perch.url, 390, "dark") as client:
        await client.log_in(reader)
        await client.sees(texts[-1])
        await client.is_accessible()
        for _ in range(30):
            await client.page.mouse.wheel(0, 4000)
            if await client.tweet(texts[0]).count():
                break
            await client.shows_home()
        shown = await client.page.locator("article[data-tweet] .tweet-text").all_text_contents()
        assert shown == texts[::-1]
        await client.is_accessible()
        await goes_on_with_a_new_token(client, texts[0])
        await reader.do(LEAVE)
        await expect(client.page.get_by_text("Your session has ended. Log in again.")).to_be_visible()
        await client.is_accessible()
        assert client.hosts == {"127.0.0.1"}
        assert client.errors == []


async def goes_on_with_a_new_token(client: Client, text: str) -> None:
    """A token near its end is replaced before the next operation, and the open socket gets the new one too."""
    await client.page.evaluate(NEAR_ITS_END)
    await client.tweet(text).get_by_role("button", name="Like, 0").click()
    await expect(client.tweet(text).get_by_role("button", name="Like, 1")).to_be_visible()
    await asyncio.wait_for(client.renewed.get(), SHOWN_MS / 1000)
    assert len(client.connections) == 1

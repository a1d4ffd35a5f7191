"""Agreement: what a live client holds after any history equals a fresh page, and that equals the documents."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime import keys
from schema import globalid
from tests.perch import Perch, Person

AUTHORS = 3
author = st.integers(0, AUTHORS - 1)
step = st.one_of(
    st.tuples(st.just("post"), author),
    st.tuples(st.just("post"), author),
    st.tuples(st.just("reply"), author),
    st.tuples(st.sampled_from(["retweet", "undo"]), author),
    st.tuples(st.just("delete"), author),
    st.tuples(st.just("follow"), author),
    st.tuples(st.just("unfollow"), author),
    st.tuples(st.sampled_from(["own post", "page", "flush", "evict", "kill pub/sub", "settle"]), st.just(0)),
)


class LiveClient:
    """The documented recipe: a page, then events applied on top by edge cursor; a resync fetches the page again."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.entries: dict[str, str] = {}
        self.texts_seen: asyncio.Queue[str] = asyncio.Queue()

    async def fetch(self) -> str:
        page = await self.person.home(100)
        self.entries = {edge["cursor"]: edge["node"]["text"] for edge in page["edges"]}
        cursor: str = page["liveCursor"]
        return cursor

    async def follow_events(self, cursor: str) -> None:
        async with self.person.live(cursor) as live:
            while True:
                await self.apply(await live.event())

    async def apply(self, event: dict[str, Any]) -> None:
        if event["__typename"] == "TimelineResync":
            await self.fetch()
            texts = list(self.entries.values())
        elif event["__typename"] == "TimelineTweetRemoved":
            self.entries.pop(event["edgeCursor"], None)
            texts = []
        else:
            texts = [event["edge"]["node"]["text"]]
            self.entries[event["edge"]["cursor"]] = texts[0]
        for text in texts:
            self.texts_seen.put_nowait(text)


class History:
    """Runs steps and remembers what the reader must see at the end."""

    def __init__(self, perch: Perch, reader: Person, authors: list[Person]) -> None:
        self.perch, self.reader, self.authors = perch, reader, authors
        self.followed: set[int] = set()
        # (author or None for the reader, id, text, author answered), oldest first.
        self.tweets: list[tuple[int | None, str, str, int | None]] = []
        # A tweet of somebody nobody follows; its retweets stand in `tweets` with its text and no author answered.
        self.strangers: dict[str, Any] = {}

    async def run(self, what: str, who: int) -> None:
        author = self.authors[who]
        passed_on = (who, self.strangers["id"], self.strangers["text"], None)
        if what in ("retweet", "undo"):
            await author.verb("retweet" if what == "retweet" else "undoRetweet", {"tweetId": self.strangers["id"]})
            if what == "undo" and passed_on in self.tweets:
                self.tweets.remove(passed_on)
            elif what == "retweet" and passed_on not in self.tweets:
                self.tweets.append(passed_on)
        elif what in ("post", "reply"):
            theirs = [tweet for tweet in self.tweets if tweet[0] is not None and tweet[1] != self.strangers["id"]]
            answered = theirs[-1] if what == "reply" and theirs else None
            more = {"inReplyTo": answered[1]} if answered else {}
            tweet = await author.post(f"{len(self.tweets)} by {who}", **more)
            self.tweets.append((who, tweet["id"], tweet["text"], answered[0] if answered else None))
        elif what == "own post":
            tweet = await self.reader.post(f"{len(self.tweets)} own")
            self.tweets.append((None, tweet["id"], tweet["text"], None))
        elif what == "delete":
            own = [tweet for tweet in self.tweets if tweet[0] == who and tweet != passed_on]
            if own:
                await author.delete(own[0][1])
                self.tweets.remove(own[0])
        elif what == "follow":
            await self.reader.follow(author)
            self.followed.add(who)
        elif what == "unfollow":
            await self.reader.unfollow(author)
            self.followed.discard(who)
        else:
            await self._disturb(what)

    async def _disturb(self, what: str) -> None:
        if what == "page":
            await self.reader.home(5)
        elif what == "flush":
            await self.perch.redis.flushall()
        elif what == "evict":
            await self.perch.redis.unlink(keys.timeline(globalid.of_type(self.reader.id, "User")))
        elif what == "kill pub/sub":
            await self.perch.kill_pubsub()
        else:
            await self.perch.settle()

    def expected(self) -> list[str]:
        """The texts of the reader's timeline, newest first."""
        return [
            text
            for who, _, text, answered in reversed(self.tweets)
            if who is None or (who in self.followed and (answered in (None, who) or answered in self.followed))
        ]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(step, min_size=5, max_size=35))
async def test_a_live_client_and_a_fresh_page_agree_with_the_documents(
    perch: Perch, steps: list[tuple[str, int]]
) -> None:
    stranger, reader, *authors = await perch.persons(2 + AUTHORS)
    history = History(perch, reader, authors)
    history.strangers = await stranger.post("from a stranger")
    client = LiveClient(reader)
    listening = asyncio.create_task(client.follow_events(await client.fetch()))
    try:
        for what, who in steps:
            await history.run(what, who)
        await perch.settle()
        assert await reader.texts() == history.expected()
        await history.run("own post", 0)
        last = history.tweets[-1][2]
        async with asyncio.timeout(10):
            while await client.texts_seen.get() != last:
                pass
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    assert [text for _, text in sorted(client.entries.items(), key=lambda row: row[1], reverse=True)] == sorted(
        history.expected(), reverse=True
    )

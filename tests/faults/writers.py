"""Writers: people who post through every server while something breaks, and what was answered to each of them."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.box import Box
from tests.perch import Person

POST = "mutation ($input: PostTweetInput!) { postTweet(input: $input) { tweet { id text } errors { code } } }"
# What each of them waits between two tweets.
PAUSE_SECONDS = 0.01


@dataclass
class Writers:
    """`acked`: the texts that a server has accepted, by author and in order. `failed`: what was answered otherwise."""

    box: Box
    authors: list[Person]
    acked: dict[str, list[str]] = field(default_factory=dict)
    failed: list[Any] = field(default_factory=list)
    slowest_seconds: float = 0
    # The servers to be asked now.
    through: Callable[[], list[int]] = lambda: [0, 1]
    _stopping: bool = False

    def count(self) -> int:
        return sum(map(len, self.acked.values()))

    async def more(self, count: int) -> None:
        """Wait until so many more have been accepted."""
        goal = self.count() + count
        async with asyncio.timeout(30):
            while self.count() < goal:
                await asyncio.sleep(0.02)

    async def _write(self, author: Person, turn: int) -> None:
        accepted = self.acked.setdefault(author.id, [])
        for number in itertools.count():
            if self._stopping:
                return
            servers = self.through()
            here = self.box.at(author, servers[turn % len(servers)])
            given = {"text": f"{author.username} {number}", "idempotencyKey": f"{author.username} {number}"}
            began = time.monotonic()
            try:
                answer = await here.ask(POST, input=given)
            except (httpx.TransportError, ValueError) as error:
                self.failed.append(repr(error))
                continue
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
            if answer.errors or not answer.data["postTweet"]["tweet"]:
                self.failed.append((answer.status, answer.codes))
            else:
                accepted.append(given["text"])
            await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def writing(
    box: Box, authors: list[Person], through: Callable[[], list[int]] = lambda: [0, 1]
) -> AsyncIterator[Writers]:
    """They write meanwhile, by turns through each of the servers; at the end each has had the last answer."""
    writers = Writers(box, authors, through=through)
    tasks = [asyncio.create_task(writers._write(author, turn)) for turn, author in enumerate(authors)]
    try:
        yield writers
    finally:
        writers._stopping = True
        await asyncio.gather(*tasks)


async def all_pages(reader: Person) -> list[str]:
    """Every text of the reader's home timeline, newest first."""
    texts: list[str] = []
    after = None
    while True:
        page = await reader.home(100, after)
        texts += [edge["node"]["text"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return texts
        after = page["pageInfo"]["endCursor"]


def by_author(texts: list[str], authors: list[Person]) -> dict[str, list[str]]:
    """The texts of each author, in the order in which they were written."""
    return {one.id: [text for text in reversed(texts) if text.startswith(f"{one.username} ")] for one in authors}

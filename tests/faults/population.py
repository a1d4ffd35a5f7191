"""A population that posts, follows, likes, deletes and reads, and the model that knows what each of them must see."""

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from schema import globalid
from tests.faults.box import Box
from tests.faults.writers import POST
from tests.perch import HOME, Person

# Acts and how often each is chosen.
WEIGHTS = {"post": 40, "delete": 8, "follow": 10, "unfollow": 5, "like": 14, "unlike": 4, "read": 40}
# So many never change whom they follow: their screens have to stand through whole rounds without a page.
STEADY = 2
# How long an act that was not answered is tried again.
GIVE_UP_SECONDS = 90.0
LOG_KEPT = 400


@dataclass
class Model:
    """What was accepted: who follows whom, and the tweets that are there, by id."""

    follows: set[tuple[str, str]] = field(default_factory=set)
    likes: set[tuple[str, int]] = field(default_factory=set)
    tweets: dict[int, tuple[str, str]] = field(default_factory=dict)

    def home(self, reader: Person) -> list[int]:
        """The ids of all that the reader must see, newest first."""
        return sorted((one for one, (author, _) in self.tweets.items() if self.shows(reader, author)), reverse=True)

    def shows(self, reader: Person, author_id: str) -> bool:
        return author_id == reader.id or (reader.id, author_id) in self.follows


@dataclass
class Figures:
    """What is told at the end."""

    acts: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"read": [], "write": []})
    faults: Counter[str] = field(default_factory=Counter)
    resyncs: int = 0
    reconnects: int = 0
    lost: int = 0
    doubled: int = 0
    unaided: int = 0


class Population:
    """People who act, each by a random stream of their own. `log` keeps the last acts and misfortunes."""

    def __init__(self, box: Box, people: list[Person], seed: int) -> None:
        self.box, self.people = box, people
        self.model, self.figures = Model(), Figures()
        self.log: deque[str] = deque(maxlen=LOG_KEPT)
        self.may_act = asyncio.Event()
        self._seed = seed
        self._busy = 0
        self._texts = 0

    async def begin(self) -> None:
        """The steady ones follow every other person, once and for all."""
        for reader in self.people[:STEADY]:
            for author in self.people[STEADY::2]:
                await reader.follow(author)
                self.model.follows.add((reader.id, author.id))

    def note(self, line: str) -> None:
        """Remember what happened."""
        self.log.append(f"{time.time():.3f} {line}")

    async def live(self, number: int) -> None:
        """One person's acts, until cancelled."""
        random, person = Random(f"{self._seed}.{number}"), self.people[number]
        acts = {act: weight for act, weight in WEIGHTS.items() if number >= STEADY or "follow" not in act}
        while True:
            await self.may_act.wait()
            self._busy += 1
            try:
                act = random.choices([*acts], [*acts.values()])[0]
                await getattr(self, f"_{act}")(person, random)
            finally:
                self._busy -= 1
            await asyncio.sleep(random.expovariate(20))

    async def rest(self) -> None:
        """Let nobody begin anything, and wait until what was begun is answered."""
        self.may_act.clear()
        while self._busy:
            await asyncio.sleep(0.02)

    async def _post(self, person: Person, random: Random) -> None:
        self._texts += 1
        text = f"{person.username} {self._texts}"
        data = await self._acted(person, random, POST, {"text": text, "idempotencyKey": text})
        tweet_id = globalid.of_type(data["postTweet"]["tweet"]["id"], "Tweet")
        self.model.tweets[tweet_id] = (person.id, text)

    async def _delete(self, person: Person, random: Random) -> None:
        own = [one for one, (author, _) in self.model.tweets.items() if author == person.id]
        if own:
            tweet_id = random.choice(own)
            await self._verb(person, random, "deleteTweet", "tweetId", globalid.encode("Tweet", tweet_id))
            del self.model.tweets[tweet_id]

    async def _follow(self, person: Person, random: Random) -> None:
        other = random.choice([one for one in self.people if one is not person])
        await self._verb(person, random, "followUser", "userId", other.id)
        self.model.follows.add((person.id, other.id))

    async def _unfollow(self, person: Person, random: Random) -> None:
        followed = sorted(author for follower, author in self.model.follows if follower == person.id)
        if followed:
            author_id = random.choice(followed)
            await self._verb(person, random, "unfollowUser", "userId", author_id)
            self.model.follows.discard((person.id, author_id))

    async def _like(self, person: Person, random: Random) -> None:
        tweet_id = random.choice([*self.model.tweets] or [0])
        given = globalid.encode("Tweet", tweet_id)
        if tweet_id and await self._verb(person, random, "likeTweet", "tweetId", given):
            self.model.likes.add((person.id, tweet_id))

    async def _unlike(self, person: Person, random: Random) -> None:
        liked = sorted(one for who, one in self.model.likes if who == person.id)
        if liked:
            tweet_id = random.choice(liked)
            await self._verb(person, random, "unlikeTweet", "tweetId", globalid.encode("Tweet", tweet_id))
            self.model.likes.discard((person.id, tweet_id))

    async def _read(self, person: Person, random: Random) -> None:
        await self._answered(person, random, "read", HOME, {"first": 20})

    async def _verb(self, person: Person, random: Random, verb: str, name: str, id_: str) -> bool:
        """Whether it was not refused: a tweet that is gone is what deleting wants, and nothing that can be liked."""
        kind = "TweetInput" if name == "tweetId" else "UserInput"
        query = f"mutation ($input: {kind}!) {{ {verb}(input: $input) {{ errors {{ code }} }} }}"
        return not (await self._acted(person, random, query, {name: id_}))[verb]["errors"]

    async def _acted(self, person: Person, random: Random, query: str, given: dict[str, str]) -> Any:
        """What a mutation answers in the end; a repeated one may find its work done."""
        self.note(f"{person.username} {query.split('{ ')[1].split('(')[0]} {given}")
        return await self._answered(person, random, "write", query, {"input": given})

    async def _answered(self, person: Person, random: Random, kind: str, query: str, variables: dict[str, Any]) -> Any:
        """The data of an operation, asked of one server or the other until it is answered."""
        began = time.monotonic()
        while time.monotonic() < began + GIVE_UP_SECONDS:
            try:
                answer = await self.box.at(person, random.randrange(2)).ask(query, **variables)
            except (httpx.TransportError, ValueError) as error:
                self.note(f"{person.username} again: {error!r}")
            else:
                if not answer.errors:
                    self.figures.acts[kind] += 1
                    self.figures.seconds[kind].append(time.monotonic() - began)
                    return answer.data
                self.note(f"{person.username} again: {answer.status} {answer.codes}")
            self.figures.retried += 1
            await asyncio.sleep(0.05)
        raise TimeoutError(f"{person.username}: no answer to {query[:60]} {variables}")

"""What is asked: the documents, and for each an endless row of bodies. Sends nothing."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from schema import globalid
from tests.bench.world import World

Json = dict[str, Any]
Rng = random.Random

# Few enough for each to come back soon, as readers do; every one of their timelines is kept.
READERS = 200
# Common enough to be found, rare enough not to be in every tweet.
SEARCHED = slice(20, 120)

TWEET = """ fragment shown on Tweet { id text createdAt likeCount retweetCount replyCount viewerHasLiked
  author { id username displayName } }"""
LIST = "edges { cursor node { ...shown } } pageInfo { hasNextPage endCursor }"
CHANGED = "tweet { ...shown } errors { code }"


@dataclass(frozen=True, slots=True)
class Operation:
    """A document, and what is asked of it. A write's variables are never the same twice."""

    document: str
    variables: Callable[[World, Rng], Json]
    writes: bool = False

    @property
    def name(self) -> str:
        return self.document.split("(")[0].split()[1]

    def body(self, world: World, rng: Rng) -> bytes:
        """As a client sends it."""
        asked = {"query": self.document, "operationName": self.name, "variables": self.variables(world, rng)}
        return orjson.dumps(asked)


def _id(tweet_id: int) -> str:
    return globalid.encode("Tweet", tweet_id)


def _text(world: World, rng: Rng) -> str:
    return f"{rng.getrandbits(48):012x} " + " ".join(rng.choices(world.words, k=12))


HOME = Operation(
    f"query Home($first: Int) {{ homeTimeline(first: $first) {{ {LIST} }} }}{TWEET}",
    lambda world, rng: {"first": 20},
)
TOP = Operation(
    f"query Top($first: Int) {{ topTweets(first: $first) {{ nodes {{ rank tweet {{ ...shown }} }} }} }}{TWEET}",
    lambda world, rng: {"first": 10},
)
PROFILE = Operation(
    "query Profile($name: String!, $first: Int) { user(username: $name) { id username displayName bio createdAt"
    f" followerCount followingCount tweetCount viewerIsFollowing tweets(first: $first) {{ {LIST} }} }} }}{TWEET}",
    lambda world, rng: {"name": rng.choice(world.names), "first": 10},
)
SEARCH = Operation(
    f"query Search($query: String!, $first: Int) {{ searchTweets(query: $query, first: $first) {{ {LIST} }} }}{TWEET}",
    lambda world, rng: {"query": rng.choice(world.words[SEARCHED]), "first": 15},
)
REPLIES = Operation(
    "query Conversation($id: ID!, $first: Int) { tweet(id: $id) { ...shown"
    f" replies(first: $first) {{ {LIST} }} }} }}{TWEET}",
    lambda world, rng: {"id": _id(rng.choice(world.conversation_ids)), "first": 20},
)
POST = Operation(
    f"mutation Post($text: String!) {{ postTweet(input: {{ text: $text }}) {{ {CHANGED} }} }}{TWEET}",
    lambda world, rng: {"text": _text(world, rng)},
    writes=True,
)
LIKE = Operation(
    f"mutation Like($id: ID!) {{ likeTweet(input: {{ tweetId: $id }}) {{ {CHANGED} }} }}{TWEET}",
    lambda world, rng: {"id": _id(rng.choice(world.tweet_ids))},
    writes=True,
)
OPERATIONS = {one.name: one for one in (HOME, TOP, PROFILE, SEARCH, REPLIES, POST, LIKE)}


@dataclass(frozen=True, slots=True)
class Workload:
    """Operations by how often each is asked."""

    what: str
    shares: Mapping[str, int]

    @property
    def writes(self) -> bool:
        return any(OPERATIONS[name].writes for name in self.shares)

    def asked(self, world: World, seed: int) -> Iterator[tuple[str, bytes]]:
        """Tokens and bodies without end, the same for the same seed."""
        rng = Rng(seed)
        names, weights = list(self.shares), list(self.shares.values())
        tokens = world.tokens[:READERS]
        while True:
            for name in rng.choices(names, weights, k=100):
                yield rng.choice(tokens), OPERATIONS[name].body(world, rng)


WORKLOADS = {
    "homeTimeline": Workload("`homeTimeline(first: 20)`", {"Home": 1}),
    "topTweets": Workload("`topTweets(first: 10)`", {"Top": 1}),
    "user": Workload("a profile with 10 tweets", {"Profile": 1}),
    "searchTweets": Workload("`searchTweets(first: 15)`", {"Search": 1}),
    "tweet": Workload("a tweet with 20 replies", {"Conversation": 1}),
    "postTweet": Workload("`postTweet`", {"Post": 1}),
    "likeTweet": Workload("`likeTweet`", {"Like": 1}),
    "mix": Workload(
        "50 reads to 1 write",
        {"Home": 60, "Top": 10, "Profile": 10, "Search": 10, "Conversation": 10, "Post": 1, "Like": 1},
    ),
}

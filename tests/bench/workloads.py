"""What is asked: the documents, and for each an endless row of bodies. Sends nothing."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from tests.bench.world import World

TWEET = """fragment shown on Tweet { id text createdAt likeCount retweetCount replyCount viewerHasLiked
  author { id username displayName } }"""
HOME = """query Home($first: Int) { homeTimeline(first: $first) { edges { cursor node { ...shown } }
  pageInfo { hasNextPage endCursor } } } """

Variables = dict[str, Any]
# The number of the reader who asks, and the variables.
Ask = Callable[[World, random.Random], tuple[int, Variables]]


@dataclass(frozen=True, slots=True)
class Workload:
    """One operation, and who asks for what."""

    name: str
    document: str
    ask: Ask

    def body(self, variables: Variables) -> bytes:
        """As a client sends it."""
        return orjson.dumps({"query": self.document, "operationName": self.operation, "variables": variables})

    @property
    def operation(self) -> str:
        return self.document.split("(")[0].split()[1]

    def asked(self, world: World, seed: int) -> Iterator[tuple[str, bytes]]:
        """Tokens and bodies without end, the same for the same seed."""
        rng = random.Random(seed)
        while True:
            reader, variables = self.ask(world, rng)
            yield world.tokens[reader], self.body(variables)


def _anybody(world: World, rng: random.Random) -> int:
    return rng.randrange(min(len(world.tokens), READERS))


# Few enough for each to come back soon, as readers do; every one of their timelines is kept.
READERS = 200

HOME_TIMELINE = Workload("homeTimeline", HOME + TWEET, lambda world, rng: (_anybody(world, rng), {"first": 20}))
WORKLOADS = {one.name: one for one in (HOME_TIMELINE,)}

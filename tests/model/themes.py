"""Themes: what runs are about: how often each thing happens, who is held up before what, how small the world is. Four
are broad; each of the others makes likely what some rules are for, and stays random around it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What a scheduler chose: a verb and its arguments. Names are given when a choice is made, so a choice keeps its
# meaning when others before it are left out.
Choice = tuple[Any, ...]

# One of the people wrote most of what there is at the start.
PROLIFIC = 2


@dataclass(frozen=True)
class Theme:
    """`weights`: how often each verb is chosen where a command could go on instead."""

    weights: Mapping[str, float]
    # Before these commands many are held up: what must not come between then has the time to.
    held: tuple[str, ...] = ()
    # What is evicted: the keys that it turns on.
    evicted: tuple[str, ...] = ("tl",)
    # What fields of Size are drawn from, where not from the usual.
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    # How often it is one and the same person who reads and relates, and to whom things happen.
    focus: float = 0.6
    # How often a page asks for a live cursor.
    live_reads: float = 0.3
    # How often it is the one who wrote most so far who writes.
    prolific: float = 0.0
    # How many of the follows there may be are there at the start.
    dense: tuple[float, ...] = (0.2, 0.6)
    # After how many commands all comes to rest. Soon, or what went wrong is set right by what happens later.
    steps: tuple[int, ...] = (40, 80, 160)
    # How often that one is a top user at the start.
    promoted: float = 0.6
    # What is done first, after what was planted.
    opening: tuple[Choice, ...] = ()
    # Each run leaves some verbs out and triples others (swarm testing: what is rare with all the rest around it becomes
    # common).
    swarm: bool = False


# What has been written goes on to those who read.
ON = {"work": 30.0, "relay": 30.0, "deliver": 16.0}
BUILDS = ("redis build",)
ROADS = ("redis merge", "redis announce", "users.update_one", "follows.update_many")
LIVE = ("redis deliver", "tweets.insert_one", "retweets.insert_one")

# A timeline is kept, and a client is connected.
SERVED: tuple[Choice, ...] = (("connect", "live0-opening", "a", 0), ("rest",))
_LONG = (200,)

BROAD: dict[str, Theme] = {
    "all": Theme(
        ON
        | {"post": 8, "reply": 2, "retweet": 3, "undo": 2, "delete": 3, "read": 10, "connect": 6}
        | {"follow": 6, "unfollow": 5, "block": 1, "unblock": 1, "mute": 1, "unmute": 1, "crowd": 1, "quiet": 0.2}
        | {"crash": 2, "kill": 1, "lose": 3, "rewind": 1, "drop": 2, "reconnect": 1, "sweep": 3}
        | {"evict": 4, "lapse": 2, "flush": 1},
        steps=_LONG,
        held=BUILDS + ROADS + LIVE,
        evicted=("tl", "tl", "on", "ev", "recent", "recent", "top on", "top ev"),
        swarm=True,
    ),
    "builds": Theme(
        ON
        | {"post": 16, "delete": 1, "follow": 3, "unfollow": 1, "read": 14, "connect": 2}
        | {"evict": 9, "lapse": 4, "flush": 1, "kill": 1, "sweep": 1},
        steps=_LONG,
        held=BUILDS,
        evicted=("tl", "tl", "tl", "recent"),
    ),
    "roads": Theme(
        ON
        | {"post": 12, "retweet": 1, "delete": 3, "follow": 9, "unfollow": 8, "read": 8, "connect": 4, "crowd": 4}
        | {"lose": 3, "drop": 2, "sweep": 2, "evict": 1, "rewind": 0.5},
        steps=_LONG,
        held=ROADS,
        evicted=("tl", "recent", "recent", "top on", "top ev"),
        sizes={"threshold": (1, 2, 2, 3)},
    ),
    "live": Theme(
        ON
        | {"post": 12, "retweet": 4, "undo": 3, "delete": 6, "follow": 4, "unfollow": 1, "block": 0.5, "mute": 0.5}
        | {"read": 3, "connect": 12, "crash": 6, "drop": 4, "reconnect": 2, "sweep": 4, "lose": 2}
        | {"evict": 4, "flush": 0.5},
        steps=_LONG,
        held=LIVE,
        evicted=("tl", "tl", "tl", "on", "ev", "top ev"),
    ),
}

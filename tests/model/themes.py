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
    # How often that one is a top user at the start.
    promoted: float = 0.6
    # What is done first, after what was planted.
    opening: tuple[Choice, ...] = ()
    # Each run leaves some verbs out and triples others (swarm testing: what is rare with all the rest around it becomes
    # common).
    swarm: bool = False


# What has been written goes on to those who read.
_ON = {"work": 30.0, "relay": 30.0, "deliver": 16.0}
_BUILDS = ("redis build",)
_ROADS = ("redis merge", "redis announce", "users.update_one", "follows.update_many")
_LIVE = ("redis deliver", "tweets.insert_one", "retweets.insert_one")
# A timeline is kept, and a client is connected.
_SERVED: tuple[Choice, ...] = (("connect", "live0-opening", "a", 0), ("rest",))
# A timeline is being built, and its builder is slow.
_BUILDING: tuple[Choice, ...] = (
    ("read", "opening read", "a", 0, 50, False),
    ("hold", "opening read", "redis build_finish"),
)
_NO_TOP_USERS = {"threshold": (99,)}
# Nobody is on the top road but by a crowd that comes and goes.
_CROWD = {"threshold": (3,), "crowd": (4,), "batch": (2, 9), "kept": (3, 5), "top_events": (9,)}

THEMES: dict[str, Theme] = {
    "all": Theme(
        _ON
        | {"post": 8, "reply": 2, "retweet": 3, "undo": 2, "delete": 3, "read": 10, "connect": 6}
        | {"follow": 6, "unfollow": 5, "block": 1, "unblock": 1, "mute": 1, "unmute": 1, "crowd": 1, "quiet": 0.2}
        | {"crash": 2, "kill": 1, "lose": 3, "rewind": 1, "drop": 2, "reconnect": 1, "sweep": 3}
        | {"evict": 4, "lapse": 2, "flush": 1},
        held=_BUILDS + _ROADS + _LIVE,
        evicted=("tl", "tl", "on", "ev", "recent", "recent", "top on", "top ev"),
        swarm=True,
    ),
    "builds": Theme(
        _ON
        | {"post": 16, "delete": 1, "follow": 3, "unfollow": 1, "read": 14, "connect": 2}
        | {"evict": 9, "lapse": 4, "flush": 1, "kill": 1, "sweep": 1},
        held=_BUILDS,
        evicted=("tl", "tl", "tl", "recent"),
    ),
    "roads": Theme(
        _ON
        | {"post": 12, "retweet": 1, "delete": 3, "follow": 9, "unfollow": 8, "read": 8, "connect": 4, "crowd": 4}
        | {"lose": 3, "drop": 2, "sweep": 2, "evict": 1, "rewind": 0.5},
        held=_ROADS,
        evicted=("tl", "recent", "recent", "top on", "top ev"),
        sizes={"threshold": (1, 2, 2, 3)},
    ),
    "live": Theme(
        _ON
        | {"post": 12, "retweet": 4, "undo": 3, "delete": 6, "follow": 4, "unfollow": 1, "block": 0.5, "mute": 0.5}
        | {"read": 3, "connect": 12, "crash": 6, "drop": 4, "reconnect": 2, "sweep": 4, "lose": 2}
        | {"evict": 4, "flush": 0.5},
        held=_LIVE,
        evicted=("tl", "tl", "tl", "on", "ev", "top ev"),
    ),
    # Two processes build the same timeline, and it is lost in between.
    "takeovers": Theme(
        _ON | {"post": 14, "read": 14, "evict": 5, "lapse": 2, "kill": 2},
        held=("redis build_finish",),
        sizes=_NO_TOP_USERS | {"kept": (5,), "batch": (9,)},
        focus=0.95,
        dense=(0.9,),
        opening=_BUILDING,
    ),
    # Sets with less in them than they might hold.
    "floors": Theme(
        _ON | {"post": 6, "delete": 6, "follow": 10, "unfollow": 3, "read": 10, "evict": 3},
        held=("redis build_finish",),
        sizes=_NO_TOP_USERS | {"kept": (2, 3), "batch": (9,)},
        focus=0.9,
        dense=(0.0, 0.2),
        opening=(*_BUILDING, ("relate", "follow", "opening follow", "b", 0, PROLIFIC)),
    ),
    # A client is present, and its timeline is not kept any more.
    "absences": Theme(
        _ON | {"post": 12, "follow": 4, "unfollow": 1, "connect": 3, "crash": 1, "read": 2, "evict": 6},
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "clients": (1,), "batch": (9,)},
        focus=0.9,
        dense=(0.6,),
        opening=_SERVED,
    ),
    # Its timeline is kept, and the client is not present any more.
    "lapses": Theme(
        _ON | {"post": 14, "connect": 2, "crash": 4, "read": 10, "evict": 6},
        evicted=("on",),
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "clients": (1,), "batch": (9,)},
        focus=0.9,
        live_reads=0.9,
        dense=(0.9,),
        opening=(*_SERVED, ("crash", "live0-opening"), ("post", "opening", "a", PROLIFIC, None)),
    ),
    # What a client shows has to go again.
    "removals": Theme(
        _ON
        | {"post": 8, "retweet": 8, "undo": 3, "delete": 9, "connect": 10, "crash": 2, "sweep": 1}
        | {"unfollow": 2, "block": 0.5, "mute": 1, "unmute": 1},
        sizes=_NO_TOP_USERS | {"kept": (2, 5), "events": (9,), "batch": (9,)},
        focus=0.9,
        dense=(0.4,),
        opening=_SERVED,
    ),
    # Much happens while a client fetches its page.
    "cursors": Theme(
        _ON | {"post": 14, "delete": 2, "connect": 14, "evict": 6, "sweep": 4},
        held=("redis page", "follows.find"),
        evicted=("on",),
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "batch": (9,)},
        focus=0.9,
        dense=(0.6,),
    ),
    # Somebody becomes a top user and stops being one, again and again.
    "crossings": Theme(
        _ON
        | {"post": 12, "retweet": 1, "delete": 2, "follow": 5, "unfollow": 4, "crowd": 10, "read": 9, "connect": 3}
        | {"lose": 2, "evict": 2, "sweep": 1},
        held=(*_ROADS, "tweets.insert_one"),
        evicted=("tl", "recent"),
        sizes=_CROWD,
        focus=0.8,
        prolific=0.6,
        dense=(0.6,),
    ),
    # Whoever was there before follows a top user, who stops being one.
    "arrivals": Theme(
        _ON | {"post": 10, "follow": 5, "unfollow": 4, "crowd": 6, "read": 8, "connect": 2, "evict": 1},
        held=_ROADS,
        evicted=("tl", "recent"),
        sizes=_CROWD | {"batch": (9,), "clients": (1,)},
        focus=0.9,
        prolific=0.7,
        dense=(0.0, 0.2),
        promoted=1.0,
        opening=(
            *_SERVED,
            ("relate", "follow", "opening follow", "b", 0, PROLIFIC),
            ("rest",),
            ("crowd", PROLIFIC, False),
        ),
    ),
    # A top user stops being one, while a tweet of theirs is on its way.
    "departures": Theme(
        _ON | {"post": 10, "crowd": 3, "read": 14, "connect": 2, "evict": 1, "unfollow": 1},
        held=("redis merge", "users.update_one", "follows.update_many"),
        evicted=("recent",),
        sizes=_CROWD | {"batch": (9,), "clients": (1,)},
        focus=0.9,
        prolific=0.8,
        dense=(0.9,),
        promoted=1.0,
        opening=(
            *_SERVED,
            ("evict", "recent", PROLIFIC),
            ("post", "opening", "a", PROLIFIC, None),
            ("rest",),
            ("post", "late", "b", PROLIFIC, None),
            ("hold", "late", "tweets.insert_one"),
            ("crowd", PROLIFIC, False),
        ),
    ),
    # The same while a client is away: it comes back to both streams.
    "returns": Theme(
        _ON | {"post": 14, "retweet": 1, "crowd": 6, "connect": 2, "crash": 4, "drop": 1, "sweep": 1, "lose": 1},
        held=("redis resume", "follows.find {"),
        sizes=_CROWD | {"events": (9,), "kept": (5,), "batch": (9,), "clients": (1,)},
        focus=1.0,
        prolific=0.9,
        dense=(0.9,),
        promoted=1.0,
        opening=(
            *_SERVED,
            ("crash", "live0-opening"),
            ("post", "opening", "a", PROLIFIC, None),
            ("rest",),
            ("crowd", PROLIFIC, False),
        ),
    ),
}

"""Aimed: themes that make likely what some rules are for, by how a run opens, by who is held up and by the size of the
world; around that they stay random."""

from tests.model.changing import CHANGING
from tests.model.themes import ON, PROLIFIC, SERVED, Choice, Theme

# A timeline is being built, and its builder is slow.
_BUILDING: tuple[Choice, ...] = (
    ("read", "opening read", "a", 0, 50, False),
    ("hold", "opening read", "redis build_finish"),
)
_NO_TOP_USERS = {"threshold": (99,)}

AIMED: dict[str, Theme] = {
    # Somebody is about to build a timeline, and has perhaps read what is to be in it.
    "claims": Theme(
        ON | {"post": 14, "read": 12, "evict": 6, "follow": 2},
        held=("redis build",),
        sizes=_NO_TOP_USERS | {"kept": (5,), "batch": (9,)},
        focus=0.9,
        dense=(0.9,),
        opening=(
            ("read", "opening read", "a", 0, 50, False),
            ("hold", "opening read", "redis build_begin"),
            ("post", "opening", "b", PROLIFIC, None),
            ("rest", "opening read"),
        ),
    ),
    # Two processes build the same timeline, and it is lost in between.
    "takeovers": Theme(
        ON | {"post": 14, "read": 14, "evict": 5, "lapse": 2, "kill": 2},
        held=("redis build_finish",),
        sizes=_NO_TOP_USERS | {"kept": (5,), "batch": (9,)},
        focus=0.95,
        dense=(0.9,),
        opening=(
            *_BUILDING,
            ("post", "opening", "a", PROLIFIC, None),
            ("rest", "opening read"),
            ("evict", "tl", 0),
            ("read", "other read", "b", 0, 50, False),
            ("hold", "other read", "redis build_finish"),
        ),
    ),
    # Sets with less in them than they might hold.
    "floors": Theme(
        ON | {"post": 6, "delete": 6, "follow": 10, "unfollow": 3, "read": 10, "evict": 3},
        held=("redis build_finish",),
        sizes=_NO_TOP_USERS | {"kept": (2, 3), "batch": (9,)},
        focus=0.9,
        dense=(0.0, 0.2),
        opening=(*_BUILDING, ("relate", "follow", "opening follow", "b", 0, PROLIFIC)),
    ),
    # A set that has lost some of what it held.
    "gaps": Theme(
        ON | {"post": 2, "delete": 9, "follow": 12, "unfollow": 3, "read": 8, "evict": 1},
        sizes=_NO_TOP_USERS | {"kept": (3,), "batch": (9,)},
        focus=0.9,
        dense=(0.0,),
        opening=(("relate", "follow", "opening follow", "b", 0, PROLIFIC), ("rest",), *SERVED),
    ),
    # An entry comes so late that it lies below the floor.
    "depths": Theme(
        ON | {"post": 12, "read": 4, "connect": 2, "crash": 1, "quiet": 1},
        held=("tweets.insert_one",),
        sizes=_NO_TOP_USERS | {"kept": (2,), "events": (9,), "clients": (1,), "batch": (9,)},
        focus=0.9,
        dense=(0.9,),
        opening=(
            *SERVED,
            ("post", "late", "b", PROLIFIC, None),
            *(("post", f"opening{n}", "a", PROLIFIC, None) for n in range(4)),
            ("rest", "late"),
        ),
    ),
    # A client is present, and its timeline is not kept any more.
    "absences": Theme(
        ON | {"post": 12, "follow": 4, "unfollow": 1, "connect": 3, "crash": 1, "read": 2, "evict": 6},
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "clients": (1,), "batch": (9,)},
        focus=0.9,
        dense=(0.6,),
        opening=SERVED,
    ),
    # The same when its person follows somebody.
    "strangers": Theme(
        ON | {"post": 4, "follow": 6, "unfollow": 1, "connect": 3, "crash": 1, "read": 0.5, "evict": 2},
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "clients": (1,), "batch": (9,)},
        focus=0.9,
        dense=(0.0, 0.2),
        opening=(*SERVED, ("evict", "tl", 0), ("relate", "follow", "opening follow", "b", 0, PROLIFIC), ("quiet",)),
    ),
    # Its timeline was built again, with what is still on its way there.
    "refills": Theme(
        ON | {"post": 8, "connect": 3, "crash": 2, "read": 6, "evict": 3, "sweep": 1},
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "clients": (1,), "batch": (9,)},
        focus=0.9,
        dense=(0.9,),
        opening=(
            *SERVED,
            ("post", "opening", "b", PROLIFIC, None),
            ("hold", "opening", "users.update_one"),
            ("evict", "tl", 0),
            ("read", "opening read", "a", 0, 50, False),
            ("finish", "opening read"),
        ),
    ),
    # Its timeline is kept, and the client is not present any more.
    "lapses": Theme(
        ON | {"post": 14, "connect": 2, "crash": 4, "read": 10, "evict": 6},
        evicted=("on",),
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "clients": (1,), "batch": (9,)},
        focus=0.9,
        live_reads=0.9,
        dense=(0.9,),
        opening=(*SERVED, ("crash", "live0-opening"), ("post", "opening", "a", PROLIFIC, None)),
    ),
    # Events are handled again.
    "repeats": Theme(
        ON | {"post": 10, "retweet": 2, "connect": 3, "read": 2, "lose": 6, "rewind": 3},
        held=("redis deliver",),
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "clients": (1,)},
        focus=0.9,
        dense=(0.9,),
        opening=(*SERVED, ("post", "opening", "a", PROLIFIC, None), ("rest",), ("rewind", 1)),
    ),
    # What a client shows has to go again.
    "removals": Theme(
        ON
        | {"post": 8, "retweet": 8, "undo": 3, "delete": 9, "connect": 10, "crash": 2, "sweep": 1}
        | {"unfollow": 2, "block": 0.5, "mute": 1, "unmute": 1},
        sizes=_NO_TOP_USERS | {"kept": (2, 5), "events": (9,), "batch": (9,)},
        focus=0.9,
        dense=(0.4,),
        opening=(
            *SERVED,
            ("change", "retweet", "opening retweet", "a", 1, "old0"),
            ("change", "retweet", "other retweet", "b", 3, "old1"),
            ("rest",),
            ("change", "delete", "opening delete", "a", 0, "old0"),
            ("change", "delete", "other delete", "b", 0, "old1"),
        ),
    ),
    # Much happens while a client fetches its page.
    "cursors": Theme(
        ON | {"post": 14, "delete": 2, "connect": 14, "evict": 6, "sweep": 4},
        held=("redis page",),
        evicted=("on",),
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "batch": (9,), "clients": (1,)},
        focus=0.9,
        dense=(0.9,),
        opening=(
            ("read", "opening read", "b", 0, 50, False),
            ("rest",),
            ("connect", "live0-opening", "a", 0),
            ("post", "opening", "b", PROLIFIC, None),
            ("hold", "live0-opening", "redis page"),
        ),
    ),
} | CHANGING

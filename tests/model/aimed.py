"""Aimed: themes that make likely what some rules are for, by how a run opens, by who is held up and by the size of the
world; around that they stay random."""

from tests.model.themes import ON, PROLIFIC, ROADS, Choice, Theme

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


def _late(command: str) -> tuple[Choice, ...]:
    """The crowd's event raises another, whose worker is held up before this command and taken for dead."""
    return (
        ("relay", 9),
        ("work", "opening work", [0], 1),
        ("finish", "opening work"),
        ("work", "late", [0], 1),
        ("hold", "late", command),
        ("lose", "late", False),
    )


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
        opening=(("relate", "follow", "opening follow", "b", 0, PROLIFIC), ("rest",), *_SERVED),
    ),
    # A client is present, and its timeline is not kept any more.
    "absences": Theme(
        ON | {"post": 12, "follow": 4, "unfollow": 1, "connect": 3, "crash": 1, "read": 2, "evict": 6},
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "clients": (1,), "batch": (9,)},
        focus=0.9,
        dense=(0.6,),
        opening=_SERVED,
    ),
    # The same when its person follows somebody.
    "strangers": Theme(
        ON | {"post": 4, "follow": 6, "unfollow": 1, "connect": 3, "crash": 1, "read": 0.5, "evict": 2},
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "clients": (1,), "batch": (9,)},
        focus=0.9,
        dense=(0.0, 0.2),
        opening=(*_SERVED, ("evict", "tl", 0), ("relate", "follow", "opening follow", "b", 0, PROLIFIC), ("quiet",)),
    ),
    # Its timeline was built again, with what is still on its way there.
    "refills": Theme(
        ON | {"post": 8, "connect": 3, "crash": 2, "read": 6, "evict": 3, "sweep": 1},
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "clients": (1,), "batch": (9,)},
        focus=0.9,
        dense=(0.9,),
        opening=(
            *_SERVED,
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
        opening=(*_SERVED, ("crash", "live0-opening"), ("post", "opening", "a", PROLIFIC, None)),
    ),
    # Events are handled again.
    "repeats": Theme(
        ON | {"post": 10, "retweet": 2, "connect": 3, "read": 2, "lose": 6, "rewind": 3},
        held=("redis deliver",),
        sizes=_NO_TOP_USERS | {"kept": (5,), "events": (9,), "clients": (1,)},
        focus=0.9,
        dense=(0.9,),
        opening=(*_SERVED, ("post", "opening", "a", PROLIFIC, None), ("rest",), ("rewind", 1)),
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
            *_SERVED,
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
    # Somebody becomes a top user and stops being one, again and again.
    "crossings": Theme(
        ON
        | {"post": 12, "retweet": 1, "delete": 2, "follow": 5, "unfollow": 4, "crowd": 10, "read": 9, "connect": 3}
        | {"lose": 2, "evict": 2, "sweep": 1},
        held=(*ROADS, "tweets.insert_one"),
        evicted=("tl", "recent"),
        sizes=_CROWD,
        focus=0.8,
        prolific=0.6,
        dense=(0.6,),
    ),
    # Whoever was there before follows a top user, who stops being one.
    "arrivals": Theme(
        ON | {"post": 10, "follow": 5, "unfollow": 4, "crowd": 6, "read": 8, "connect": 2, "evict": 1},
        held=ROADS,
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
        ON | {"post": 10, "crowd": 3, "read": 14, "connect": 2, "evict": 1, "unfollow": 1},
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
    # The same, and the tweet is written when all that is over.
    "stragglers": Theme(
        ON | {"post": 8, "crowd": 4, "read": 10, "connect": 2, "evict": 1, "lose": 1},
        held=(*ROADS, "tweets.insert_one"),
        evicted=("recent",),
        sizes=_CROWD | {"batch": (9,), "clients": (1,)},
        focus=0.9,
        prolific=0.8,
        dense=(0.9,),
        promoted=1.0,
        opening=(
            *_SERVED,
            ("post", "late", "b", PROLIFIC, None),
            ("crowd", PROLIFIC, False),
            ("rest", "late"),
        ),
    ),
    # The same while a client is away: it comes back to both streams.
    "returns": Theme(
        ON | {"post": 14, "retweet": 1, "crowd": 6, "connect": 2, "crash": 4, "drop": 1, "sweep": 1, "lose": 1},
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
    # All of that has happened, and it comes back.
    "backlogs": Theme(
        ON | {"post": 10, "crowd": 5, "connect": 3, "crash": 3, "drop": 1, "sweep": 1, "read": 1},
        held=("redis resume",),
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
            ("rest",),
            ("post", "other", "b", PROLIFIC, None),
            ("rest",),
        ),
    ),
    # A worker that was taken for dead demotes, or promotes, when all has changed since.
    "late demotions": Theme(
        ON | {"post": 10, "read": 10, "crowd": 2, "connect": 2, "lose": 1},
        held=ROADS,
        sizes=_CROWD | {"batch": (9,), "clients": (1,)},
        focus=0.9,
        prolific=0.8,
        dense=(0.9,),
        promoted=1.0,
        opening=(
            *_SERVED,
            ("crowd", PROLIFIC, False),
            *_late("users.update_one"),
            ("crowd", PROLIFIC, True),
            ("post", "opening", "a", PROLIFIC, None),
            ("rest", "late"),
        ),
    ),
    "late promotions": Theme(
        ON | {"post": 10, "read": 10, "crowd": 2, "connect": 2, "lose": 1},
        held=ROADS,
        sizes=_CROWD | {"batch": (9,), "clients": (1,)},
        focus=0.9,
        prolific=0.8,
        dense=(0.9,),
        promoted=0.0,
        opening=(
            *_SERVED,
            ("crowd", PROLIFIC, True),
            *_late("follows.update_many"),
            ("post", "opening", "a", PROLIFIC, None),
            ("rest", "late"),
        ),
    ),
}

"""Changing: themes of authors who become top users and stop being ones. The rest of tests/model/aimed.py."""

from tests.model.themes import ON, PROLIFIC, ROADS, SERVED, Choice, Theme

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


# A client was served and has gone; behind it the author wrote, and became a top user.
_LEFT = (
    *SERVED,
    ("crash", "live0-opening"),
    ("post", "opening", "a", PROLIFIC, None),
    ("rest",),
    ("crowd", PROLIFIC, False),
)
CHANGING: dict[str, Theme] = {
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
            *SERVED,
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
            *SERVED,
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
            *SERVED,
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
        opening=_LEFT,
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
            *_LEFT,
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
            *SERVED,
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
            *SERVED,
            ("crowd", PROLIFIC, True),
            *_late("follows.update_many"),
            ("post", "opening", "a", PROLIFIC, None),
            ("rest", "late"),
        ),
    ),
    # A tweet from before its author became a top user is written after it, behind somebody else's younger one.
    "mixtures": Theme(
        ON | {"post": 10, "crowd": 3, "connect": 4, "crash": 3, "sweep": 1},
        held=("tweets.insert_one",),
        sizes=_CROWD | {"events": (9,), "kept": (5,), "batch": (9,), "clients": (1,)},
        focus=1.0,
        prolific=0.6,
        dense=(0.9,),
        promoted=0.0,
        opening=(
            *SERVED,
            ("post", "late", "b", PROLIFIC, None),
            ("crowd", PROLIFIC, True),
            ("rest", "late"),
            ("crash", "live0-opening"),
            ("post", "opening", "a", PROLIFIC, None),
            ("post", "other", "b", 1, None),
            ("rest", "late", "opening"),
            ("finish", "late"),
            ("finish", "opening"),
        ),
    ),
    # A client is told to resync while a top user writes.
    "resyncs": Theme(
        ON | {"post": 12, "connect": 3, "crash": 2, "sweep": 4, "evict": 4, "crowd": 1},
        held=("redis top_position", "redis resume"),
        evicted=("on", "tl"),
        sizes=_CROWD | {"events": (9,), "kept": (5,), "batch": (9,), "clients": (1,)},
        focus=1.0,
        prolific=0.8,
        dense=(0.9,),
        promoted=1.0,
        opening=(
            *SERVED,
            ("evict", "on", 0),
            ("sweep", "opening sweep", "a"),
            ("finish", "opening sweep"),
            ("hold", "live0-opening", "redis top_position"),
            ("post", "opening", "b", PROLIFIC, None),
            ("rest", "live0-opening"),
        ),
    ),
}

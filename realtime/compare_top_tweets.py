"""Top lists compared with the places that the tweets have in MongoDB.

Never writes what it finds: a tweet's place in Redis belongs to the worker of its partition, which is told to rank it.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from datastore import ids
from datastore.drift import Drift, Judged, Kind, Look, Position
from datastore.events import Event, EventName
from datastore.quiet import UNKNOWN, Quiet
from datastore.records import TopWindow
from realtime.handlers import Rooms
from realtime.top_tweets import Listed

TWEETS_PER_QUERY = 1000
# A suspect: a window and a tweet, or NOBODY for the list itself.
Row = tuple[TopWindow, int]
NOBODY = 0


class TopLists:
    """Each window's list holds every tweet whose place is above the floor, there, and no other."""

    name: ClassVar[str] = "top lists"
    kinds: ClassVar[Sequence[Kind]] = (Kind.TOP_TWEETS,)

    def __init__(self, rooms: Rooms, quiet: Quiet) -> None:
        self._rooms = rooms
        self._quiet = quiet

    async def look(self, after: Position, size: int) -> Look[Row]:
        """One window; its list is bounded, and read in steps."""
        at = int(after or 0)
        window = list(TopWindow)[at]
        listed = await self._rooms.top_tweets.listed(window)
        following = at + 1 if at + 1 < len(TopWindow) else None
        if listed is None:
            return Look(0, [], following)
        places = await self._places(window, listed)
        suspects = [(window, tweet) for tweet in places.keys() | listed.places.keys() if _wrong(tweet, listed, places)]
        suspects += [(window, NOBODY)] if listed.broken else []
        return Look(len(places.keys() | listed.places.keys()), suspects, following)

    async def _places(self, window: TopWindow, listed: Listed) -> dict[int, float]:
        """What MongoDB places above the floor, and whatever is listed."""
        found: dict[int, float] = {}
        after: tuple[float, int] | None = None
        lowest = max(listed.lowest, listed.floor)
        while rows := await self._rooms.tweets.top(window, TWEETS_PER_QUERY, lowest, after):
            found |= dict(rows)
            after = rows[-1][1], rows[-1][0]
        others = sorted(listed.places.keys() - found.keys())
        for at in range(0, len(others), TWEETS_PER_QUERY):
            places = await self._rooms.tweets.places(others[at : at + TWEETS_PER_QUERY])
            found |= {tweet: place[window] for tweet, place in places.items()}
        return found

    async def judge(self, suspects: Sequence[Row], since: Any, repair: bool) -> Judged[Row]:
        wrong = await self._again(suspects)
        touched = await self._quiet.touched(since, [], sorted({tweet for _, tweet in suspects}))
        judged: Judged[Row] = Judged([], [])
        for (window, tweet), (was, now) in wrong.items():
            if {("place", tweet), UNKNOWN} & touched:
                judged.busy.append((window, tweet))
                continue
            if repair and tweet == NOBODY:
                await self._rooms.top_tweets.drop()
            elif repair:
                await self._rooms.raise_event(Event(EventName.TWEET_RANKED, ids.bucket(tweet), tweet))
            judged.drifts.append(Drift(Kind.TOP_TWEETS, tweet, was, now, list(TopWindow).index(window)))
        return judged

    async def repaired(self, drifts: Sequence[Drift]) -> set[tuple[int, int]]:
        windows = list(TopWindow)
        wrong = await self._again([(windows[drift.other_id], drift.subject_id) for drift in drifts])
        still = {(tweet, windows.index(window)) for window, tweet in wrong}
        return {(drift.subject_id, drift.other_id) for drift in drifts} - still

    async def _again(self, suspects: Sequence[Row]) -> dict[Row, tuple[float | None, float | None]]:
        """Those of the suspects that are wrong now, with the place they have and the one they should have."""
        found: dict[Row, tuple[float | None, float | None]] = {}
        for window in TopWindow:
            tweets = sorted({tweet for of, tweet in suspects if of == window})
            listed = await self._rooms.top_tweets.listed(window, tweets) if tweets else None
            if listed is None:
                continue
            places: dict[int, float] = {}
            for at in range(0, len(tweets), TWEETS_PER_QUERY):
                rows = await self._rooms.tweets.places(tweets[at : at + TWEETS_PER_QUERY])
                places |= {tweet: place[window] for tweet, place in rows.items()}
            for tweet in tweets:
                if tweet == NOBODY and listed.broken:
                    found[window, NOBODY] = None, None
                elif tweet != NOBODY and _wrong(tweet, listed, places):
                    found[window, tweet] = listed.places.get(tweet), places.get(tweet)
        return found


def _wrong(tweet: int, listed: Listed, places: dict[int, float]) -> bool:
    """What has sunk below the lowest place is listed by nobody, and goes with the next change."""
    was, right = listed.places.get(tweet), places.get(tweet)
    if was is None:
        return right is not None and right > listed.floor and right >= listed.lowest and not listed.broken
    return was != right and (was >= listed.lowest or (right is not None and right >= listed.lowest))

"""Open sessions: those that callers of this process came with lately, looked up one by one at first and then all
together. Derived; ends none, and never says what a session may do.

A session that has ended is refused at once by the process that ended it, by the others as soon as they follow
(`forget`, called by who follows datastore.session_ends), and whatever becomes of that LIFE_SECONDS later at the latest:
so old may a look be, counted from before MongoDB was asked.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from datastore.joined import Joined
from datastore.mongo import Mongo, PyMongoError
from datastore.records import Session
from datastore.sessions import Sessions
from realtime.copies import ProcessCopies

# Less than the second within which an ended session is over everywhere; a look takes its part of it.
LIFE_SECONDS = 0.8
# Twice in that time, so that one look may be late.
LOOK_SECONDS = 0.35
# Who has not come for so long is looked up alone when they come again.
IDLE_SECONDS = 15.0
# Sessions of one look: 20 KB of ids, a few milliseconds of MongoDB. Who comes beyond is looked up alone.
KEPT = 2_000


class OpenSessions:
    """The sessions of one process's callers, and `truth`, which every end that is made here leads through. `run()`
    should be running; without it each look is good for its own time."""

    def __init__(self, mongo: Mongo, lifetime: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self.truth = Sessions(mongo, lifetime, self.forget)
        self._clock = clock
        self._copies = self._none()
        # What was read before then may have ended since.
        self._since = -1.0
        # When each was last asked for.
        self._asked: dict[int, float] = {}
        self._coming = Joined(self._open)

    def _none(self) -> ProcessCopies[Session]:
        return ProcessCopies(KEPT, int(LIFE_SECONDS * 1000), self._clock)

    async def get(self, session_id: int, now: datetime) -> Session | None:
        """The session, None if it has ended. At most one round trip, mostly none."""
        session = self._copies.get(session_id)
        if session is None or session.expires_at <= now:
            began = self._clock()
            session = await self.truth.get(session_id, now)
            self._keep(session_id, session, began)
        if session is None:
            return None
        if session_id in self._asked or len(self._asked) < KEPT:
            self._asked[session_id] = self._clock()
        return session

    async def get_once(self, session_id: int) -> Session | None:
        """The session as it is now, None if it has ended; for who hears of its end otherwise, as sockets do, so that
        nobody looks again. One round trip for all who ask at this moment, from a server that died for example."""
        return await self._coming.get(session_id)

    async def _open(self, session_ids: list[int]) -> dict[int, Session]:
        return {one.id: one for one in await self.truth.get_many(session_ids, datetime.now(UTC))}

    def _keep(self, session_id: int, session: Session | None, began: float) -> None:
        if began > self._since:
            self._copies.put(session_id, session, began)

    def forget(self, session_id: int | None = None) -> None:
        """A session has ended; None: nobody says which. What was read before now is good no longer."""
        if session_id is None:
            self._since, self._copies = self._clock(), self._none()
        else:
            self._copies.drop(session_id)

    async def run(self) -> None:
        """Look again, for ever: at all that somebody has come with lately. One round trip each time."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look(datetime.now(UTC))
            except PyMongoError:
                # Then each is looked up when it comes, and that one tells.
                self._asked.clear()

    async def look(self, now: datetime) -> None:
        """See which are still open of those that somebody has come with lately."""
        began = self._clock()
        self._asked = {one: at for one, at in self._asked.items() if at > began - IDLE_SECONDS}
        asked = list(self._asked)
        if not asked:
            return
        found = {one.id: one for one in await self.truth.get_many(asked, now)}
        for session_id in asked:
            self._keep(session_id, found.get(session_id), began)
            if session_id not in found:
                self._asked.pop(session_id, None)

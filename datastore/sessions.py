"""Sessions: one document a log-in, holding hashes of refresh tokens and never a token."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from datastore import ids
from datastore.mongo import Doc, DuplicateKeyError, Mongo
from datastore.records import Session
from datastore.together import Keyed, Look

# A replay of any of the last so many spent refresh tokens ends the session; older ones are only refused.
SPENT_KEPT = 50
# Without what only a refresh needs.
_OPEN = Keyed("sessions", {"user": 1, "used": 1, "agent": 1, "expires": 1})


class Sessions:
    """Open log-ins. A session is a token family: it ends as one.

    `ended` is called behind every end that was made here, and before it is answered: with the session's id, or with
    None where many may have ended."""

    def __init__(
        self, mongo: Mongo, lifetime: timedelta, ended: Callable[[int | None], None] = lambda session_id: None
    ) -> None:
        self._mongo = mongo
        self._sessions = mongo.sessions
        self._lifetime = lifetime
        self._ended = ended

    async def add(self, user_id: int, refresh_hash: bytes, user_agent: str | None, now_ms: int) -> Session:
        """Open a session whose first refresh token hashes to `refresh_hash`."""
        while True:
            now = datetime.fromtimestamp(now_ms / 1000, UTC)
            doc: Doc = {
                "_id": ids.new(now_ms),
                "user": user_id,
                "refresh": refresh_hash,
                "spent": [],
                "used": now,
                "agent": user_agent,
                "expires": now + self._lifetime,
            }
            try:
                await self._sessions.insert_one(doc)
                return _session(doc)
            except DuplicateKeyError:
                now_ms += 1

    async def rotate(self, session_id: int, spent: bytes, fresh: bytes, now: datetime) -> Session | None:
        """Swap the refresh token `spent` for `fresh`; None if it is not the current one.

        Atomic: of two calls with one token a single one wins. The loser replays a spent token, and a replay ends the
        session: one of the two holders stole it (RFC 9700, 4.14.2).
        """
        change = {
            "$set": {"refresh": fresh, "used": now, "expires": now + self._lifetime},
            "$push": {"spent": {"$each": [spent], "$slice": -SPENT_KEPT}},
        }
        query = {"_id": session_id, "refresh": spent, "expires": {"$gt": now}}
        before = await self._sessions.find_one_and_update(query, change)
        if before is None:
            await self._sessions.delete_one({"_id": session_id, "spent": spent})
            self._ended(session_id)
            return None
        return _session(before | {"used": now, "expires": now + self._lifetime})

    async def get(self, session_id: int, now: datetime) -> Session | None:
        """The session, None if it has ended. At most one round trip, shared with whoever asks meanwhile."""
        found = await Look(self._mongo, _OPEN, [session_id], _sessions).alone()
        return next((session for session in found if session.expires_at > now), None)

    async def get_many(self, session_ids: Sequence[int], now: datetime) -> list[Session]:
        """Those of the sessions that have not ended, in no order. One round trip."""
        cursor = self._sessions.find({"_id": {"$in": list(session_ids)}, "expires": {"$gt": now}}, {"spent": 0})
        return [_session(doc) for doc in await cursor.to_list(None)]

    async def of_user(self, user_id: int, now: datetime) -> Sequence[Session]:
        """A user's open sessions, newest first. At most 100."""
        query = {"user": user_id, "expires": {"$gt": now}}
        cursor = self._sessions.find(query, {"spent": 0}).sort("_id", -1).limit(100)
        return [_session(doc) async for doc in cursor]

    async def renew(self, session_id: int, fresh: bytes, now: datetime) -> Session | None:
        """Make `fresh` the refresh token, whatever the current one is, which is spent by it; None if the session has
        ended. For who has proved more than a refresh token: its replay ends the session as always."""
        spent = {"$slice": [{"$concatArrays": ["$spent", ["$refresh"]]}, -SPENT_KEPT]}
        change = [{"$set": {"refresh": fresh, "spent": spent, "used": now, "expires": now + self._lifetime}}]
        query = {"_id": session_id, "expires": {"$gt": now}}
        doc = await self._sessions.find_one_and_update(query, change, {"spent": 0}, return_document=True)
        return _session(doc) if doc else None

    async def end(self, session_id: int) -> None:
        """End one session; idempotent."""
        await self._sessions.delete_one({"_id": session_id})
        self._ended(session_id)

    async def revoke(self, user_id: int, session_id: int) -> bool:
        """End one session of this user's; False if they have no such session."""
        result = await self._sessions.delete_one({"_id": session_id, "user": user_id})
        self._ended(session_id)
        return bool(result.deleted_count)

    async def end_all(self, user_id: int, but: int | None = None) -> None:
        """End every session of a user, `but` one; idempotent."""
        query: Doc = {"user": user_id} | ({"_id": {"$ne": but}} if but is not None else {})
        await self._sessions.delete_many(query)
        self._ended(None)


def _sessions(docs: Sequence[Doc]) -> list[Session]:
    return [*map(_session, docs)]


def _session(doc: Doc) -> Session:
    return Session(doc["_id"], doc["user"], doc["used"], doc["agent"], doc["expires"])

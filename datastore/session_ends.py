"""Session ends: tells a process which sessions have ended, whoever ended them and wherever. Never ends one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

from datastore.changes import AWAIT_MS, HISTORY_LOST
from datastore.joined import Joined
from datastore.mongo import Doc, Mongo, OperationFailure, PyMongoError, watching

# A delete carries the document's key and nothing else: hence one's own session id is all that is told.
_PIPELINE: list[Doc] = [{"$match": {"operationType": "delete"}}, {"$project": {"documentKey": 1}}]
# Between a broken stream and the next: a fail-over takes longer, and a socket must not outlive its session for long.
RETRY_SECONDS = 0.2


class SessionEnds:
    """The ends of sessions as one process follows them."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._token: Any = None
        # Sockets that come at once, from a server that died, are looked up together.
        self._ended = Joined(self._among)

    async def follow(self, open_ids: Callable[[], Collection[int]]) -> AsyncIterator[int]:
        """Ids of sessions that end, for ever; any of those that `open_ids` names is among them, at least once.

        A broken stream is resumed. At the start, and where the history between is lost, the open ones are looked up.
        """
        while True:
            try:
                async for session_id in self._ends(open_ids):
                    yield session_id
                # The collection was dropped, and with it every session.
                self._token = None
                await asyncio.sleep(RETRY_SECONDS)
            except OperationFailure as error:
                if error.code in HISTORY_LOST:
                    self._token = None
                await asyncio.sleep(RETRY_SECONDS)
            except PyMongoError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _ends(self, open_ids: Callable[[], Collection[int]]) -> AsyncIterator[int]:
        if self._token is None:
            # The clock first, then the look: what ends in between is both in the stream and found.
            options: Doc = {"start_at_operation_time": await self._mongo.cluster_time()}
            for session_id in await self.among(open_ids()):
                yield session_id
        else:
            options = {"resume_after": self._token}
        async with watching(self._mongo.sessions, _PIPELINE, max_await_time_ms=AWAIT_MS, **options) as stream:
            while True:
                change = await stream.try_next()
                if change:
                    yield change["documentKey"]["_id"]
                # NOTE: one that has ended answers at once, without a turn for anybody else, and so for ever.
                elif not stream.alive:
                    return
                self._token = stream.resume_token

    async def has_ended(self, session_id: int) -> bool:
        """Whether it has, behind this call."""
        return bool(await self._ended.get(session_id))

    async def _among(self, session_ids: list[int]) -> dict[int, bool]:
        return dict.fromkeys(await self.among(session_ids), True)

    async def among(self, session_ids: Collection[int]) -> set[int]:
        """Those of the sessions that have ended. One round trip."""
        cursor = self._mongo.sessions.find({"_id": {"$in": list(session_ids)}}, {"_id": 1})
        return set(session_ids) - {doc["_id"] async for doc in cursor}

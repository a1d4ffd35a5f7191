"""Sockets: the open connections of this process that live on, websockets and event streams, and what ends them all."""

import asyncio
import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from resolvers.context import Context, Services
from resolvers.rounds import stop
from schema import metrics

# How soon after its token's end, or after the limit of its silence, a socket closes at the latest.
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a socket closes, as the code and the reason of a close frame. Clients retry all of these, 4403 with a new
    token."""

    code: int
    reason: str


EXPIRED = Ending(4403, "The access token has expired")
SESSION_ENDED = Ending(4403, "The session has ended")
STALLED = Ending(1013, "Nothing was read for too long")
DRAINED = Ending(1012, "This server stops: connect again")


class Connection(Protocol):
    """What lives on. `context` says by what right; `sending_since` since when (loop time) the client has not read what
    it was sent, None if it has. Before it waits for that it enters itself into `Sockets.waiting`."""

    context: Context

    @property
    def sending_since(self) -> float | None: ...

    def end(self, why: Ending) -> None:
        """Close; does not wait, and may be told twice."""

    def abort(self) -> None:
        """Drop the connection with whatever was not yet sent."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How many sockets one user may have in this process, how much of what a client was sent may lie with the system,
    how long it may read nothing, and how a stopping server sends its clients away: so many at a time, with so long a
    pause."""

    per_user: int
    unread_bytes: int
    stalled_seconds: float
    drain_slice: int
    drain_pause_seconds: float


class Sockets:
    """The registry. `run()` must be running; a connection is here from its first byte until it is gone."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self.unread_bytes = patience.unread_bytes
        self._open: set[Connection] = set()
        # Those that wait for their client to read; with these two nobody looks at ten thousand that do not.
        self.waiting: set[Connection] = set()
        # By the second in which their token ends.
        self._expiring: dict[int, set[Connection]] = {}
        self._by_session: dict[int, set[Connection]] = {}
        self._per_user: Counter[int] = Counter()
        self._stopping: set[asyncio.Task[None]] = set()
        self.draining = False

    def stop_soon(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task, and do not wait for it."""
        stopping = asyncio.create_task(stop(task))
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)

    def add(self, connection: Connection) -> None:
        """Enter a connection of which nobody knows yet whose it is."""
        self._open.add(connection)
        metrics.CONNECTIONS.set(len(self._open))

    def discard(self, connection: Connection) -> None:
        """Take a connection out; idempotent."""
        self._open.discard(connection)
        metrics.CONNECTIONS.set(len(self._open))
        self.waiting.discard(connection)
        self.leave(connection)

    async def admit(self, connection: Connection) -> bool:
        """Enter a connection under its user and its session, if it has one. False if the user has too many.

        The session is looked up behind that: it may have ended since the token was checked.
        """
        session_id, ends = connection.context.session_id, connection.context.services.session_ends
        if not self._join(connection):
            return False
        if session_id is not None and await ends.has_ended(session_id):
            connection.end(SESSION_ENDED)
        return True

    def _join(self, connection: Connection) -> bool:
        user_id, session_id = connection.context.viewer_id, connection.context.session_id
        if user_id is None or session_id is None:
            return True
        if self._per_user[user_id] >= self._patience.per_user:
            return False
        if (second := _second_of(connection)) is not None:
            self._expiring.setdefault(second, set()).add(connection)
        self._by_session.setdefault(session_id, set()).add(connection)
        self._per_user[user_id] += 1
        return True

    def leave(self, connection: Connection) -> None:
        """Undo an admission; idempotent."""
        user_id, session_id = connection.context.viewer_id, connection.context.session_id
        if user_id is None or session_id is None or connection not in self._by_session.get(session_id, ()):
            return
        self._by_session[session_id].discard(connection)
        if not self._by_session[session_id]:
            del self._by_session[session_id]
        if (second := _second_of(connection)) in self._expiring:
            self._expiring[second].discard(connection)
        self._per_user[user_id] -= 1
        if not self._per_user[user_id]:
            del self._per_user[user_id]

    def session_ids(self) -> Collection[int]:
        """The sessions that have a connection here."""
        return list(self._by_session)

    def end_session(self, session_id: int) -> None:
        """Close every connection of a session that has ended."""
        for connection in list(self._by_session.get(session_id, ())):
            connection.end(SESSION_ENDED)

    async def follow(self, services: Services) -> None:
        """Close connections as their sessions end, in whatever process that happens, and let requests know; until
        cancelled."""
        async for session_id in services.session_ends.follow(self.session_ids):
            services.open_sessions.forget(session_id)
            self.end_session(session_id)

    async def run(self) -> None:
        """Close connections whose token expires or whose client reads nothing; until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            loop_time = asyncio.get_running_loop().time()
            for connection in list(self.waiting):
                self._look(connection, loop_time)
            self._expire()

    def _look(self, connection: Connection, loop_time: float) -> None:
        since = connection.sending_since
        silent = loop_time - since if since is not None else 0.0
        if silent > 2 * self._patience.stalled_seconds:
            # The close frame is stuck behind all the rest.
            connection.abort()
        elif silent > self._patience.stalled_seconds:
            connection.end(STALLED)

    def _expire(self) -> None:
        now = datetime.now(UTC).timestamp()
        for second in [second for second in self._expiring if second <= now]:
            for connection in self._expiring.pop(second):
                connection.end(EXPIRED)

    async def drain(self) -> None:
        """Send every client away, in slices, so that they do not all come back to the others at once."""
        self.draining = True
        while self._open:
            for connection in list(self._open)[: self._patience.drain_slice]:
                connection.end(DRAINED)
                self._open.discard(connection)
            metrics.CONNECTIONS.set(len(self._open))
            await asyncio.sleep(self._patience.drain_pause_seconds)


def _second_of(connection: Connection) -> int | None:
    expires_at = connection.context.expires_at
    return math.ceil(expires_at.timestamp()) if expires_at else None

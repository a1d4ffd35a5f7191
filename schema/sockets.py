"""Sockets: the open websockets of this process by session, so that they can end with it. Never closes one itself."""

from collections.abc import Collection
from typing import Protocol


class Endable(Protocol):
    """A socket that can be told that its session has ended; does not wait, and may be told twice."""

    def end(self) -> None: ...


class Sockets:
    """The registry. A socket is here from its acknowledgement until it is gone."""

    def __init__(self) -> None:
        self._open: dict[int, set[Endable]] = {}

    def add(self, session_id: int, socket: Endable) -> None:
        """Enter a socket."""
        self._open.setdefault(session_id, set()).add(socket)

    def discard(self, session_id: int, socket: Endable) -> None:
        """Take a socket out; idempotent."""
        sockets = self._open.get(session_id, set())
        sockets.discard(socket)
        if not sockets:
            self._open.pop(session_id, None)

    def session_ids(self) -> Collection[int]:
        """The sessions that have a socket here."""
        return list(self._open)

    def end(self, session_id: int) -> None:
        """Tell every socket of a session that it has ended."""
        for socket in list(self._open.get(session_id, ())):
            socket.end()

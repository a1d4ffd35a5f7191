"""Dead letters: events that were set aside, as an operator sees them: listed, put back, dropped. Handles none."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from realtime import keys
from realtime.connect import Client

# Read in one command: some 300 KB.
READ_AT_ONCE = 1000
# What a worker adds to an event that it sets aside.
_ADDED = ("why", "from")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was set aside: its id here, when, where it stood, why it was, and its fields."""

    id: str
    at: datetime
    stream: str
    why: str
    event: dict[str, str]


class DeadLetters:
    """The stream of them. What is put back is handled behind what waits there now, and again whole."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def each(self, ids: Collection[str] = ()) -> AsyncIterator[DeadLetter]:
        """Oldest first; those with these ids, or all."""
        start = "-"
        while found := await self._read(start):
            for entry_id, fields in found:
                if not ids or entry_id in ids:
                    yield _letter(entry_id, fields)
            start = f"({found[-1][0]}"

    async def retry(self, ids: Collection[str] = ()) -> int:
        """Put them back where they stood; gives how many. Each moves in one step."""
        moved = 0
        async for letter in self.each(ids):
            async with self._redis.pipeline(transaction=True) as pipe:
                fields: dict[Any, Any] = {**letter.event}
                pipe.xadd(letter.stream, fields)
                pipe.xdel(keys.DEAD_LETTERS, letter.id)
                await pipe.execute()
            moved += 1
        return moved

    async def drop(self, ids: Collection[str] = ()) -> int:
        """Forget them; gives how many."""
        dropped = 0
        async for letter in self.each(ids):
            dropped += int(await self._redis.xdel(keys.DEAD_LETTERS, letter.id))
        return dropped

    async def _read(self, start: str) -> list[tuple[str, dict[str, str]]]:
        found: Any = await self._redis.xrange(keys.DEAD_LETTERS, start, "+", READ_AT_ONCE)
        return list(found)


def _letter(entry_id: str, fields: dict[str, str]) -> DeadLetter:
    at = datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
    event = {name: value for name, value in fields.items() if name not in _ADDED}
    return DeadLetter(entry_id, at, fields["from"], fields["why"], event)

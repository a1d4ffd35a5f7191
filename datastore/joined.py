"""Joined: questions that many ask at the same moment, read for all of them at once. Keeps no answer."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
# Of one read: the more there are, the more of them go side by side.
KEYS_AT_ONCE = 100


class Joined(Generic[K, V]):
    """A question by key. Those that come in the same turn of the loop are read together, behind all of them: an answer
    is never older than its question."""

    def __init__(self, read: Callable[[list[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._read = read
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._reading: set[asyncio.Task[None]] = set()

    async def get(self, key: K) -> V | None:
        """What is there under this key, None if nothing. Raises what the read raised, for all who asked together."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._begin)
        if key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().create_future()
        # Shielded: one handler that is cancelled must not take the answer from the others.
        return await asyncio.shield(self._waiting[key])

    def _begin(self) -> None:
        waiting, self._waiting = list(self._waiting.items()), {}
        for at in range(0, len(waiting), KEYS_AT_ONCE):
            task = asyncio.create_task(self._answer(dict(waiting[at : at + KEYS_AT_ONCE])))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _answer(self, waiting: Mapping[K, "asyncio.Future[V | None]"]) -> None:
        try:
            found = await self._read(list(waiting))
        except Exception as error:
            for future in waiting.values():
                future.set_exception(error)
                # Whoever asked may have gone.
                future.exception()
        else:
            for key, future in waiting.items():
                future.set_result(found.get(key))
        finally:
            # Cancelled: so is whoever still waits.
            for future in waiting.values():
                future.cancel()

"""Joined: questions that many ask at the same moment, read for all of them at once. Keeps no answer."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextvars import Context, copy_context
from itertools import islice
from math import inf
from typing import Any, Generic, TypeVar, cast

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
# Of one read: the more there are, the more of them go side by side.
KEYS_AT_ONCE = 100
# Of the loop, which a read waits for company where few go side by side: short ones in a process that has little to do,
# and where there is much each brings more. Without them 32 likes at once are nearly twice as many commands.
TURNS = 4
# Those who wait for the answer to a key.
Waiting = dict[K, list[asyncio.Future[V | None]]]


class Joined(Generic[K, V]):
    """A question by key. Those that come in the same turn of the loop are read together, behind all of them: an answer
    is never older than its question.

    With `at_once`, a read waits some turns for more, so many are under way at most, and what comes meanwhile goes with
    the next one; one that takes longer than `patience_seconds` holds up nobody any more. A read runs in the context
    that `context` gives.
    """

    def __init__(
        self,
        read: Callable[[list[K]], Awaitable[Mapping[K, V]]],
        keys_at_once: int = KEYS_AT_ONCE,
        at_once: float = inf,
        patience_seconds: float = inf,
        context: Callable[[], Context] = copy_context,
    ) -> None:
        self._read, self._context = read, context
        self._keys_at_once, self._at_once, self._patience = keys_at_once, at_once, patience_seconds
        self._waiting: Waiting[K, V] = {}
        # Whether a read is about to take what waits.
        self._woken = False
        self._reading: set[asyncio.Task[None]] = set()
        # Those of them that others wait for, and when that ends.
        self._in_the_way: dict[asyncio.Task[None], asyncio.TimerHandle] = {}

    async def get(self, key: K, within_seconds: float = inf) -> V | None:
        """What is there under this key, None if nothing. Raises what the read raised, for all who asked together, and
        TimeoutError for who waits no longer."""
        return await within(self.ask(key), within_seconds)

    def ask(self, key: K) -> asyncio.Future[V | None]:
        """As `get`, for who has something else to do meanwhile."""
        # Each has one of their own: who is cancelled takes the answer from nobody else.
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        self._wake()
        return answer

    def _wake(self) -> None:
        """Have what waits read soon, with all that is asked until then."""
        if self._woken or not self._waiting or len(self._in_the_way) >= self._at_once:
            return
        self._woken = True
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._take(), context=self._context())
        self._reading.add(task)
        if self._at_once < inf:
            self._in_the_way[task] = loop.call_later(self._patience, self._pass_by, task)

    async def _take(self) -> None:
        """Read what waits then, or as much of it as goes at once."""
        try:
            # Who has left is asked for no longer.
            taken = await self._gathered()
            asked = {key: some for key, some in taken.items() if not all(answer.done() for answer in some)}
            if asked:
                await self._answer(asked)
        finally:
            task = cast("asyncio.Task[None]", asyncio.current_task())
            self._reading.discard(task)
            self._pass_by(task)

    async def _gathered(self) -> Waiting[K, V]:
        try:
            if self._at_once < inf:
                for _ in range(TURNS):
                    await asyncio.sleep(0)
        finally:
            self._woken = False
        keys = list(islice(self._waiting, self._keys_at_once))
        taken = {key: self._waiting.pop(key) for key in keys}
        self._wake()
        return taken

    def _pass_by(self, task: "asyncio.Task[None]") -> None:
        """Nobody waits for this read any more but those who asked for it."""
        if timer := self._in_the_way.pop(task, None):
            timer.cancel()
            self._wake()

    async def _answer(self, asked: Waiting[K, V]) -> None:
        try:
            found = await self._read(list(asked))
        except Exception as error:
            for answer in _open(asked):
                answer.set_exception(error)
                # Whoever asked may be going at this very moment.
                answer.exception()
        else:
            for key, some in asked.items():
                value = found.get(key)
                for answer in some:
                    if not answer.done():
                        answer.set_result(value)
        finally:
            # Cancelled: so is whoever still waits.
            for answer in _open(asked):
                answer.cancel()


async def within(answer: asyncio.Future[V], seconds: float) -> V:
    """What was asked for and is this caller's alone. Raises TimeoutError."""
    if seconds == inf or answer.done():
        return await answer
    # Not asyncio.timeout, which costs several times as much.
    timer = answer.get_loop().call_later(max(seconds, 0), _overdue, answer)
    try:
        return await answer
    finally:
        timer.cancel()


def _overdue(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


def _open(asked: Waiting[K, V]) -> list[asyncio.Future[V | None]]:
    return [answer for some in asked.values() for answer in some if not answer.done()]

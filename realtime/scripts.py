"""The Lua scripts: read once from lua/, each with the common part before it, and run by their SHA."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from redis.exceptions import NoScriptError

from realtime import spans
from realtime.cluster import Cluster
from realtime.connect import Client, RedisError
from realtime.slots import by_slot

_FOLDER = Path(__file__).parent / "lua"
_NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.lua") if path.stem != "common"))
Arg = str | int | float
# The keys and the arguments of a script.
Call = tuple[Sequence[str], Sequence[Arg]]
T = TypeVar("T")
# A step of a walk over all keys: a fraction of a millisecond of Redis.
UNLINKED_AT_ONCE = 1000


class Scripts:
    """Atomic steps on Redis. Loads whatever the server has forgotten (a restart, a fail-over) and runs again."""

    def __init__(self, redis: Client) -> None:
        self.redis = redis
        # Whether a script may take keys of one slot only.
        self.by_slot = isinstance(redis, Cluster)
        common = (_FOLDER / "common.lua").read_text()
        self._sources = {name: common + (_FOLDER / f"{name}.lua").read_text() for name in _NAMES}
        # Redis names a script by the SHA-1 of its text.
        self._shas = {
            name: hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
            for name, source in self._sources.items()
        }
        spans.SCRIPTS.update({sha: name for name, sha in self._shas.items()})

    async def run(self, name: str, keys: Sequence[str], *args: Arg) -> Any:
        """The script's answer. One round trip."""
        try:
            return await self.redis.evalsha(self._shas[name], len(keys), *keys, *args)
        except NoScriptError:
            return await self.redis.eval(self._sources[name], len(keys), *keys, *args)

    async def run_each(self, name: str, calls: Sequence[Call], raising: bool = True) -> list[Any]:
        """The answers in order of the calls, which run in that order, pipelined. One round trip. With `raising` false,
        an answer may be the error that its call met.

        The script must be idempotent: calls run again if a server had forgotten it. Of a cluster, workers pass over
        a primary that was given up, and the answer is None: what is written so can be rebuilt.
        """
        found = await self._pipelined("EVALSHA", self._shas[name], calls)
        forgotten = [at for at, answer in enumerate(found) if isinstance(answer, NoScriptError)]
        if forgotten:
            # All from there on, to keep their order.
            found[forgotten[0] :] = await self._pipelined("EVAL", self._sources[name], calls[forgotten[0] :])
        for answer in found:
            if raising and isinstance(answer, Exception):
                raise answer
        return found

    async def run_over(
        self,
        name: str,
        names: Sequence[str],
        head: Sequence[Arg],
        each: Sequence[Arg] = (),
        per: int = 1,
        away: Any = None,
    ) -> list[Any]:
        """One answer for each `per` keys, in their order, of a script that treats them one by one: ARGV is `head`, then
        of `each` those that belong to its keys. One round trip.

        Of a cluster one call for each slot; keys whose primary does not answer get `away`, unless none does.
        """
        if not self.by_slot:
            return list(await self.run(name, names, *head, *each))
        places = range(len(names) // per)
        parts = self.apart(places, lambda at: names[per * at])
        calls = [
            (
                [name for at in part for name in names[per * at : per * (at + 1)]],
                [*head, *(each[at] for at in part if each)],
            )
            for part in parts
        ]
        if len(calls) == 1:
            return list(await self.run(name, calls[0][0], *calls[0][1]))
        found = await self.run_each(name, calls, raising=False)
        if found and all(isinstance(answers, RedisError) for answers in found):
            raise found[0]
        joined: list[Any] = [away] * len(places)
        for part, answers in zip(parts, found, strict=True):
            for at, answer in zip(part, answers if isinstance(answers, list) else [away] * len(part), strict=True):
                joined[at] = answer
        return joined

    def apart(self, items: Iterable[T], name_of: Callable[[T], str]) -> list[list[T]]:
        """The items that one script may take together, each in their order: all of them, or of a cluster those whose
        keys are in one slot."""
        return by_slot(items, name_of) if self.by_slot else [list(items)]

    async def _pipelined(self, command: str, script: str, calls: Sequence[Call]) -> list[Any]:
        async with self.redis.pipeline(transaction=False) as pipe:
            for names, args in calls:
                pipe.execute_command(command, script, len(names), *names, *args)
            return list(await pipe.execute(raise_on_error=False))


async def scan_step(redis: Client, after: str | None, pattern: str, size: int) -> tuple[list[str], str | None]:
    """About `size` names and where to go on, None at the end. What is there all the while is found; of a cluster, one
    primary after the other, unless a slot moves meanwhile."""
    servers = await redis.primaries() if isinstance(redis, Cluster) else [redis]
    # A string: the cursor has 64 bits, one more than MongoDB's integers.
    cursor, _, number = (after or "").partition("@")
    at = int(number or 0)
    if at >= len(servers):
        return [], None
    found: Any = await servers[at].scan(int(cursor or 0), match=pattern, count=size)
    left, names = found
    if not left:
        at += 1
    return names, f"{left}@{at}" if at < len(servers) else None


async def unlink_matching(redis: Client, patterns: Iterable[str]) -> None:
    """Drop every key that fits one of the patterns. Walks the keys in steps, so that Redis is never held up."""
    for pattern in patterns:
        await unlink_all(redis, redis.scan_iter(pattern, count=UNLINKED_AT_ONCE))


async def unlink_all(redis: Client, names: AsyncIterator[str]) -> None:
    """Drop the keys of a walk, in steps."""
    batch: list[str] = []
    async for name in names:
        batch.append(name)
        if len(batch) == UNLINKED_AT_ONCE:
            await redis.unlink(*batch)
            batch.clear()
    if batch:
        await redis.unlink(*batch)


def fresh_token() -> str:
    """A name nobody used before: 64 random bits. Holds neither ':' nor '.', which part the fields of messages."""
    return secrets.token_hex(8)

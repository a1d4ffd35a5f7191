"""The Lua scripts: read once from lua/, each with the common part before it, and run by their SHA."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

from realtime import spans
from realtime.connect import Client

_FOLDER = Path(__file__).parent / "lua"
_NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.lua") if path.stem != "common"))
Arg = str | int | float
# A step of a walk over all keys: a fraction of a millisecond of Redis.
UNLINKED_AT_ONCE = 1000


class Scripts:
    """Atomic steps on Redis. Loads whatever the server has forgotten (a restart, a fail-over) and runs again."""

    def __init__(self, redis: Client) -> None:
        self.redis = redis
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

    async def run_each(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Arg]]]) -> list[Any]:
        """The answers in order of the calls, which run in that order, pipelined. One round trip.

        The script must be idempotent: all calls run again if the server had forgotten it.
        """
        try:
            return await self._pipelined(name, calls)
        except NoScriptError:
            await self.redis.script_load(self._sources[name])
            return await self._pipelined(name, calls)

    async def _pipelined(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Arg]]]) -> list[Any]:
        async with self.redis.pipeline(transaction=False) as pipe:
            for keys, args in calls:
                pipe.evalsha(self._shas[name], len(keys), *keys, *args)
            return list(await pipe.execute())


async def unlink_matching(redis: Client, patterns: Iterable[str]) -> None:
    """Drop every key that fits one of the patterns. Walks the keys in steps, so that Redis is never held up."""
    batch: list[str] = []
    for pattern in patterns:
        async for name in redis.scan_iter(pattern, count=UNLINKED_AT_ONCE):
            batch.append(name)
            if len(batch) == UNLINKED_AT_ONCE:
                await redis.unlink(*batch)
                batch.clear()
    if batch:
        await redis.unlink(*batch)


def fresh_token() -> str:
    """A name nobody used before: 64 random bits. Holds neither ':' nor '.', which part the fields of messages."""
    return secrets.token_hex(8)

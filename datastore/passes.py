"""Passes: whose turn it is to walk over everything (to reconcile, in the background), and where the pass stands. Walks
nowhere itself."""

from dataclasses import dataclass

from datastore.drift import Position
from datastore.mongo import Doc, DuplicateKeyError, Mongo, aggregated


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass that this process may go on with: the number of its comparison, and the position there."""

    number: int
    stage: int
    after: Position


@dataclass(frozen=True, slots=True)
class Ended:
    """What the last pass found, as far as the process saw it that ended it, and how long ago that was."""

    drifted: int
    left: int
    ended_seconds_ago: float


class Passes:
    """One process at a time, by a lease; by the server's clock."""

    def __init__(self, mongo: Mongo, holder: str, name: str = "reconcile") -> None:
        self._system = mongo.system
        self._id = name
        self._holder = holder

    async def prepare(self, first_after_seconds: float) -> None:
        """Fix when the first pass is due, counted from the first call ever; idempotent."""
        try:
            await self._system.insert_one({"_id": self._id, "pass": 1, "stage": 0, "after": None, "holder": None})
        except DuplicateKeyError:
            return
        # Unless somebody has taken it already: their lease must stand.
        begun = {"due": _in(first_after_seconds), "until": "$$NOW"}
        await self._system.update_one({"_id": self._id, "holder": None}, [{"$set": begun}])

    async def take(self, lease_seconds: float) -> Pass | None:
        """The pass to go on with; None if none is due, or another process is at it."""
        free = {"$or": [{"$eq": ["$holder", self._holder]}, {"$lt": [{"$ifNull": ["$until", 0]}, "$$NOW"]}]}
        due = {"$lte": [{"$ifNull": ["$due", "$$NOW"]}, "$$NOW"]}
        doc = await self._system.find_one_and_update(
            {"_id": self._id, "$expr": {"$and": [free, due]}},
            [{"$set": {"holder": self._holder, "until": _in(lease_seconds)}}],
            return_document=True,
        )
        return Pass(doc["pass"], doc["stage"], doc["after"]) if doc else None

    async def keep(self, stage: int, after: Position, lease_seconds: float) -> bool:
        """Remember where the pass stands and renew the lease; False if another process has taken it over."""
        # $literal: a position may be a document.
        stands = {"stage": stage, "after": {"$literal": after}, "until": _in(lease_seconds)}
        return await self._update([{"$set": stands}])

    async def finish(self, next_in_seconds: float, drifted: int, left: int) -> bool:
        """The pass is over, and found so much; the next one is due then."""
        begun: Doc = {"stage": 0, "after": None, "holder": None, "until": None, "due": _in(next_in_seconds)}
        ended: Doc = {"ended": "$$NOW", "drifted": drifted, "left": left, "pass": {"$add": ["$pass", 1]}}
        return await self._update([{"$set": begun | ended}])

    async def last(self) -> Ended | None:
        """How the last pass ended; None if none has."""
        age = {"$divide": [{"$subtract": ["$$NOW", "$ended"]}, 1000]}
        stages: list[Doc] = [
            {"$match": {"_id": self._id, "ended": {"$exists": True}}},
            {"$project": {"age": age, "drifted": 1, "left": 1}},
        ]
        found = await aggregated(self._system, stages)
        return Ended(found[0]["drifted"], found[0]["left"], found[0]["age"]) if found else None

    async def release(self) -> None:
        """Let another process go on at once."""
        await self._update([{"$set": {"holder": None, "until": None}}])

    async def _update(self, change: list[Doc]) -> bool:
        result = await self._system.update_one({"_id": self._id, "holder": self._holder}, change)
        return bool(result.matched_count)


def _in(seconds: float) -> Doc:
    return {"$add": ["$$NOW", int(seconds * 1000)]}

"""Kept lists compared: what MongoDB says belongs into timelines and recent lists is there, and what is gone is not.

A list that differs is dropped: the next read rebuilds it, and open subscriptions are told to resync. Entries of authors
who are not followed (any more) are nobody's business here, since reading filters them; neither are imported tweets,
which raise no events.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from redis.exceptions import ResponseError

from datastore import ids
from datastore.drift import Drift, Judged, Kind, Look, Position, Repairing
from datastore.entries import Entries
from datastore.follows import Follows
from datastore.mongo import Doc, Mongo
from datastore.quiet import Quiet
from datastore.records import Roads
from realtime import keys
from realtime.connect import Client
from realtime.handlers import Rooms
from realtime.scripts import scan_step

# So many missing entries are told apart in one list; more are found when they are looked for again.
MISSING_AT_ONCE = 200
# Followees asked about in one query.
PEOPLE_PER_QUERY = 1000


@dataclass(frozen=True, slots=True)
class Suspect:
    """Somebody's list, with the entries that it lacks and those that it should not have."""

    owner_id: int
    missing: frozenset[int]
    dead: frozenset[int]

    def still(self, now: "Suspect | None") -> "Suspect":
        """What was wrong before and is wrong now."""
        found = now or Suspect(self.owner_id, frozenset(), frozenset())
        return Suspect(self.owner_id, self.missing & found.missing, self.dead & found.dead)

    def __bool__(self) -> bool:
        return bool(self.missing or self.dead)


async def kept_entries(redis: Client, name: str) -> tuple[int, list[int]] | None:
    """The floor, and the entries, newest first, of a timeline or a recent list that is served; None of one that is
    not kept or is being built."""
    try:
        rows: Any = await redis.lrange(name, 0, -1)
    except ResponseError as error:
        # The version before kept a sorted set under this name; whoever needs it drops it.
        if not str(error).startswith("WRONGTYPE"):
            raise
        return None
    state, _, floor = rows[-1].rpartition(":") if rows else ("", "", "")
    return (int(floor), [int(entry) for entry in rows[:-1]]) if state == "floor" else None


class _Lists(Repairing):
    """The common part: a kind of key by its pattern, found in steps of SCAN."""

    kind: ClassVar[Kind]
    pattern: ClassVar[str]

    def __init__(self, mongo: Mongo, redis: Client, rooms: Rooms, entries: Entries, quiet: Quiet) -> None:
        self._redis = redis
        self._rooms = rooms
        self._entries = entries
        self._quiet = quiet
        self._truth = _Truth(mongo, rooms.follows)

    async def look(self, after: Position, size: int) -> Look[Suspect]:
        names, after = await scan_step(self._redis, after, self.pattern, size)
        lists = [await self._differing(int(name.rpartition(":")[2])) for name in names]
        return Look(len(names), [one for one in lists if one], after)

    async def judge(self, suspects: Sequence[Suspect], since: Any, repair: bool) -> Judged[Suspect]:
        """An entry that was looked for before `since` and again now has had its time to come, or to go: exact unless
        the reader's follows or an author's road changed meanwhile."""
        again = [(one, await self._differing(one.owner_id)) for one in suspects]
        touched = await self._quiet.touched(since, [one.owner_id for one in suspects], [])
        judged: Judged[Suspect] = Judged([], [])
        for before, now in again:
            found = before.still(now)
            if not found:
                continue
            if now and any(touch[0] == "road" or touch == ("following", now.owner_id) for touch in touched):
                judged.busy.append(now)
                continue
            if repair:
                await self._drop(found.owner_id)
            was = {"missing": len(found.missing), "dead": len(found.dead)}
            judged.drifts.append(Drift(self.kind, found.owner_id, was, {"missing": 0, "dead": 0}, repaired=repair))
        return judged

    async def _differing(self, owner_id: int) -> Suspect | None:
        raise NotImplementedError

    async def _drop(self, owner_id: int) -> None:
        raise NotImplementedError


class ReaderTimelines(_Lists):
    """`tl:*`: above the floor all that was pushed by the reader's followees and by themselves, and nothing of theirs
    that is gone."""

    name: ClassVar[str] = "timelines"
    kinds: ClassVar[Sequence[Kind]] = (Kind.TIMELINE,)
    kind = Kind.TIMELINE
    pattern = "tl:*"

    async def _differing(self, owner_id: int) -> Suspect | None:
        kept = await kept_entries(self._redis, keys.timeline(owner_id))
        if kept is None:
            return None
        floor, members = kept[0], set(kept[1])
        pushed = await self._pushed(owner_id, floor, len(members) + MISSING_AT_ONCE)
        missing = await self._truth.pushable(pushed - members)
        dead = await self._truth.dead(members - pushed, owner_id)
        return Suspect(owner_id, frozenset(missing), frozenset(dead))

    async def _pushed(self, reader_id: int, floor: int, limit: int) -> set[int]:
        """What the reader's list must hold above the floor, as far as `limit` entries go: all of plain authors and of
        the reader, of top users what they wrote before they were."""
        followees = await self._rooms.follows.followee_ids(reader_id)
        tops = await self._truth.top_users(followees)
        plain = [author for author in followees if author not in tops]
        found = set(await self._entries.newest([*plain, reader_id], limit, above=floor))
        for author, roads in tops.items():
            last = roads.switches[-1][0] if roads.switches else 0
            if last > floor + 1:
                older = await self._entries.newest([author], limit, before=last, above=floor)
                found |= {entry for entry in older if not roads.is_pulled(entry)}
        return found

    async def _drop(self, owner_id: int) -> None:
        await self._rooms.timelines.drop([owner_id])


class RecentLists(_Lists):
    """`recent:*`: above the floor all that a top user wrote as one, and nothing of it that is gone."""

    name: ClassVar[str] = "recent lists"
    kinds: ClassVar[Sequence[Kind]] = (Kind.RECENT,)
    kind = Kind.RECENT
    pattern = "recent:*"

    async def _differing(self, owner_id: int) -> Suspect | None:
        kept = await kept_entries(self._redis, keys.recent(owner_id))
        roads = (await self._truth.top_users([owner_id])).get(owner_id)
        if kept is None or roads is None:
            return None
        floor, members = kept[0], set(kept[1])
        newest = await self._entries.newest([owner_id], len(members) + MISSING_AT_ONCE, above=floor)
        missing = {entry for entry in newest if roads.is_pulled(entry)} - members
        dead = await self._truth.gone(members - set(newest))
        pulled = {entry for entry in dead if roads.is_pulled(entry)}
        return Suspect(owner_id, frozenset(await self._truth.pushable(missing)), frozenset(pulled))

    async def _drop(self, owner_id: int) -> None:
        await self._redis.unlink(keys.recent(owner_id))


class _Truth:
    """What MongoDB says of entries."""

    def __init__(self, mongo: Mongo, follows: Follows) -> None:
        self._mongo = mongo
        self._follows = follows

    async def top_users(self, user_ids: Sequence[int]) -> dict[int, Roads]:
        """Those of the people who are top users."""
        found: dict[int, Roads] = {}
        for at in range(0, len(user_ids), PEOPLE_PER_QUERY):
            query = {"_id": {"$in": list(user_ids[at : at + PEOPLE_PER_QUERY])}, "top": True}
            async for doc in self._mongo.users.find(query, {"switches": 1}):
                found[doc["_id"]] = _roads(doc, top=True)
        return found

    async def pushable(self, entry_ids: set[int]) -> set[int]:
        """Those that a handler pushes: not imported, and no retweets of what is gone."""
        tweets, retweets = _parted(entry_ids)
        exempt = {doc["_id"] for doc in await self._docs("tweets", tweets, {"imported": True}, "_id")}
        originals = {doc["_id"]: doc["tweet"] for doc in await self._docs("retweets", retweets, {}, "tweet")}
        alive = {doc["_id"] for doc in await self._docs("tweets", list(originals.values()), {"alive": True}, "_id")}
        return entry_ids - exempt - {retweet for retweet, tweet in originals.items() if tweet not in alive}

    async def gone(self, entry_ids: set[int]) -> dict[int, Doc]:
        """The tombstones among them. One that was purged is nobody's any more, and no one can tell since when."""
        tweets, retweets = _parted(entry_ids)
        deleted = await self._docs("tweets", tweets, {"deleted_at": {"$exists": True}}, "author", "deleted_at")
        undone = await self._docs("retweets", retweets, {"undone_at": {"$exists": True}}, "author", "undone_at")
        return {doc["_id"]: doc for doc in (*deleted, *undone)}

    async def dead(self, entry_ids: set[int], reader_id: int) -> set[int]:
        """Those that should have been taken out of this reader's timeline: pushed, and gone while the reader followed
        their author. What is gone before a follow, or while there was none, is left to the filter."""
        gone = await self.gone(entry_ids)
        if not gone:
            return set()
        authors = list({doc["author"] for doc in gone.values()})
        edges = [{"a": author, "f": reader_id} for author in authors]
        since = {
            doc["_id"]["a"]: doc["at"] async for doc in self._mongo.follows.find({"_id": {"$in": edges}}, {"at": 1})
        }
        users = self._mongo.users.find({"_id": {"$in": authors}}, {"switches": 1})
        roads = {doc["_id"]: _roads(doc, top=False) async for doc in users}
        return {
            entry
            for entry, doc in gone.items()
            if doc["author"] == reader_id
            or (doc["author"] in roads and not roads[doc["author"]].is_pulled(entry) and _followed(doc, since))
        }

    async def _docs(self, collection: str, entry_ids: Sequence[int], query: Doc, *fields: str) -> list[Doc]:
        if not entry_ids:
            return []
        cursor = self._mongo.db[collection].find({"_id": {"$in": list(entry_ids)}} | query, dict.fromkeys(fields, 1))
        return [doc async for doc in cursor]


def _followed(gone: Doc, since: Mapping[int, int]) -> bool:
    """Whether the author of what is gone was followed when it went."""
    at = gone.get("deleted_at") or gone["undone_at"]
    return gone["author"] in since and since[gone["author"]] < at.timestamp() * 1000


def _roads(doc: Doc, top: bool) -> Roads:
    return Roads(0, top, tuple((row["from"], row["top"]) for row in doc.get("switches", ())))


def _parted(entry_ids: set[int]) -> tuple[list[int], list[int]]:
    """Tweets and retweets."""
    retweets = {entry for entry in entry_ids if ids.kind(entry) is ids.Kind.RETWEET}
    return list(entry_ids - retweets), list(retweets)

"""Stated: what documents say of themselves or of others (terms, mentions, who was answered, what a name is found by),
compared with what that follows from, and put right.

It was written by the very write that made it true, so nothing is ever late here: a difference seen twice is drift, and
is put right only while it stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from datastore import entities, ids, rules, users
from datastore.counters import next_after, slice_of
from datastore.drift import Drift, Judged, Kind, Look, Position, Repairing
from datastore.mongo import Doc, Mongo
from datastore.reservations import Reservations
from datastore.tweets import GONE, parsed

_PARSED = ("hashtags", "tags", "terms")
_NAMES = ("username", "display_name", "email", "name_key", "email_key", "prefixes")
_TWEET_FIELDS = (*_PARSED, "author", "text", "alive", "is_reply", "reply_to", "reply_author", "mentions", "imported")
# Who signed up so shortly before a tweet need not be linked by it: its writer may have looked before.
SURELY_THERE_MS = 60_000


@dataclass(frozen=True, slots=True)
class _Wrong:
    """Fields of one kind that should say something else."""

    kind: Kind
    was: Doc
    now: Doc


class _Stated(Repairing):
    """The common part: a collection whose living documents are told right or wrong one by one."""

    collection: ClassVar[str]
    alive: ClassVar[Doc]
    fields: ClassVar[tuple[str, ...]]

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._docs = mongo.db[self.collection]

    async def look(self, after: Position, size: int) -> Look[int]:
        docs = await slice_of(self._docs, after, size, dict.fromkeys((*self.fields, "alive", "deleted_at"), 1))
        living = [doc for doc in docs if all(doc.get(name) == value for name, value in self.alive.items())]
        wrong = await self._wrong(living)
        return Look(len(living), [doc["_id"] for doc in living if wrong[doc["_id"]]], next_after(docs, size))

    async def judge(self, suspects: Sequence[int], since: Any, repair: bool) -> Judged[int]:
        query = {"_id": {"$in": list(suspects)}} | self.alive
        docs = [doc async for doc in self._docs.find(query, dict.fromkeys(self.fields, 1))]
        wrong = await self._wrong(docs)
        judged: Judged[int] = Judged([], [])
        for doc in docs:
            for one in wrong[doc["_id"]]:
                await self._settle_one(doc, one, repair, judged)
        return judged

    async def _settle_one(self, doc: Doc, wrong: _Wrong, repair: bool, judged: Judged[int]) -> None:
        """Write it only over what was read."""
        if repair:
            written = await self._docs.update_one(self._as_read(doc, wrong), _change(wrong.now))
            if not written.matched_count:
                judged.busy.append(doc["_id"])
                return
        judged.drifts.append(Drift(wrong.kind, doc["_id"], _size(wrong.was), _size(wrong.now), repaired=repair))

    def _as_read(self, doc: Doc, wrong: _Wrong) -> Doc:
        return {"_id": doc["_id"]} | self.alive | wrong.was

    async def _wrong(self, docs: Sequence[Doc]) -> dict[int, list[_Wrong]]:
        """For each of the documents."""
        raise NotImplementedError


class TweetTexts(_Stated):
    """Tags, terms and mentions of each living tweet's text, and whom it answers."""

    name: ClassVar[str] = "tweet texts"
    kinds: ClassVar[Sequence[Kind]] = (Kind.TERMS, Kind.MENTIONS, Kind.REPLY_AUTHOR)
    collection = "tweets"
    alive: ClassVar[Doc] = {"alive": True}
    fields = _TWEET_FIELDS

    async def _wrong(self, docs: Sequence[Doc]) -> dict[int, list[_Wrong]]:
        named = await self._named(docs)
        answered = await self._answered(docs)
        found = {}
        for doc in docs:
            text = parsed(doc["text"])
            wrong = [
                _compared(
                    Kind.TERMS, doc, {name: text.get(name) for name in _PARSED} | {"is_reply": "reply_to" in doc}
                ),
                _compared(Kind.MENTIONS, doc, {"mentions": _mentions(doc, named)}),
                _compared(Kind.REPLY_AUTHOR, doc, {"reply_author": _reply_author(doc, answered)}),
            ]
            found[doc["_id"]] = [one for one in wrong if one]
        return found

    async def _named(self, docs: Sequence[Doc]) -> dict[str, Doc]:
        """The people, tombstones too, whom the texts name."""
        keys = {rules.username_key(name) for doc in docs for name in entities.mentions(doc["text"])}
        if not keys:
            return {}
        fields = dict.fromkeys(("name_key", "imported", "deleted_at", "purge"), 1)
        return {doc["name_key"]: doc async for doc in self._mongo.users.find({"name_key": {"$in": list(keys)}}, fields)}

    async def _answered(self, docs: Sequence[Doc]) -> dict[int, Doc]:
        answered = list({doc["reply_to"] for doc in docs if "reply_to" in doc})
        cursor = self._docs.find({"_id": {"$in": answered}}, {"author": 1, "alive": 1}) if answered else None
        return {doc["_id"]: doc async for doc in cursor} if cursor else {}


class UserNames(_Stated):
    """What each person is found by, by the names they have."""

    name: ClassVar[str] = "user names"
    kinds: ClassVar[Sequence[Kind]] = (Kind.NAMES,)
    collection = "users"
    alive: ClassVar[Doc] = {"deleted_at": None}
    fields = _NAMES

    async def _wrong(self, docs: Sequence[Doc]) -> dict[int, list[_Wrong]]:
        found = {}
        for doc in docs:
            right: Doc = {
                "name_key": rules.username_key(doc["username"]),
                "email_key": rules.email_key(doc["email"]) if "email" in doc else None,
                "prefixes": users.findable(doc["username"], doc["display_name"]).get("prefixes"),
            }
            wrong = _compared(Kind.NAMES, doc, right)
            found[doc["_id"]] = [wrong] if wrong else []
        return found

    async def _settle_one(self, doc: Doc, wrong: _Wrong, repair: bool, judged: Judged[int]) -> None:
        await super()._settle_one(doc, wrong, repair and await self._claimed(doc["_id"], wrong.now), judged)

    async def _claimed(self, user_id: int, now: Doc) -> bool:
        """False if the right name or address is somebody else's: for people to decide."""
        reserved = {"name_key": users.reserved_names(self._mongo), "email_key": users.reserved_emails(self._mongo)}
        values = [(Reservations(kind), now[field]) for field, kind in reserved.items() if now.get(field)]
        return all([await reservations.claim(value, user_id) for reservations, value in values])

    def _as_read(self, doc: Doc, wrong: _Wrong) -> Doc:
        return super()._as_read(doc, wrong) | {name: doc.get(name) for name in ("username", "display_name", "email")}


class Retweeted(_Stated):
    """Whose tweet each living retweet passes on."""

    name: ClassVar[str] = "retweets"
    kinds: ClassVar[Sequence[Kind]] = (Kind.RETWEETED,)
    collection = "retweets"
    alive: ClassVar[Doc] = {"alive": True}
    fields = ("tweet", "of")

    async def _wrong(self, docs: Sequence[Doc]) -> dict[int, list[_Wrong]]:
        cursor = self._mongo.tweets.find({"_id": {"$in": [doc["tweet"] for doc in docs]}}, {"author": 1})
        authors = {doc["_id"]: doc["author"] async for doc in cursor}
        # A retweet whose tweet has been purged goes with it.
        wrong = {
            doc["_id"]: _compared(Kind.RETWEETED, doc, {"of": authors.get(doc["tweet"], doc.get("of"))}) for doc in docs
        }
        return {retweet: [one] if one else [] for retweet, one in wrong.items()}


def _mentions(doc: Doc, named: Mapping[str, Doc]) -> list[int] | None:
    """Whom the tweet must link. A link of somebody who came just then, later or by an import may stand or be missing;
    that of a deleted account must go when its purge has finished."""
    stated = set(doc.get("mentions", ()))
    found = []
    for key in map(rules.username_key, entities.mentions(doc["text"])):
        user = named.get(key)
        if user is None:
            continue
        gone = "deleted_at" in user
        there = ids.at_ms(user["_id"]) + SURELY_THERE_MS < ids.at_ms(doc["_id"])
        must = there and not gone and not user.get("imported") and not doc.get("imported")
        may = user["_id"] in stated and (not gone or "purge" in user)
        found += [user["_id"]] if must or may else []
    return found or None


def _reply_author(doc: Doc, answered: Mapping[int, Doc]) -> int | None:
    """Who wrote what the tweet answers; nobody once that is purged, and either while that is deleted."""
    if "reply_to" not in doc:
        return None
    target = answered.get(doc["reply_to"])
    if target is None:
        return GONE
    if not target.get("alive") and doc.get("reply_author") == GONE:
        return GONE
    author: int = target["author"]
    return author


def _compared(kind: Kind, doc: Doc, right: Doc) -> _Wrong | None:
    wrong = {name: value for name, value in right.items() if doc.get(name) != value}
    return _Wrong(kind, {name: doc.get(name) for name in wrong}, wrong) if wrong else None


def _change(now: Doc) -> Doc:
    given = {name: value for name, value in now.items() if value is not None}
    absent = {name: "" for name, value in now.items() if value is None}
    return ({"$set": given} if given else {}) | ({"$unset": absent} if absent else {})


def _size(fields: Doc) -> int:
    """How many values the fields hold: what they are may be a person's words."""
    return sum(len(value) if isinstance(value, list) else value is not None for value in fields.values())

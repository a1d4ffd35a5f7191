"""Reservations compared with the documents that have what is reserved, both ways, and put right.

A reservation comes before its document and goes behind it: one without a document is a writer under way, or one who
died. So what differs is looked at again when no write can be under way. Even then nobody is trusted to be dead: see
`datastore.reservations.Reservations.vacated`. What two documents have is not repaired: that is for people to decide.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from datastore import retweets, tweets, users
from datastore.counters import next_after, slice_of
from datastore.drift import Drift, Judged, Kind, Look, Position, Repairing
from datastore.mongo import Doc, Mongo
from datastore.reservations import Reservations, Reserved

# A value, and the document that has it or is said to have it.
Suspect: TypeAlias = tuple[Any, int]
# Which of the two collections a pass is at; each is walked in the order of its ids.
_DOCUMENTS, _RESERVATIONS = "documents", "reservations"


class _Compared(Repairing):
    """The common part: a kind of reservation."""

    name: ClassVar[str]
    kinds: ClassVar[Sequence[Kind]]

    def __init__(self, reserved: Reserved) -> None:
        self._of = reserved
        self._reservations = Reservations(reserved)

    async def look(self, after: Position, size: int) -> Look[Suspect]:
        walked, last = after or (_DOCUMENTS, None)
        return await (self._look_back if walked == _RESERVATIONS else self._look_on)(last, size)

    async def _look_on(self, last: Position, size: int) -> Look[Suspect]:
        """From documents to reservations."""
        docs = await slice_of(self._of.documents, last, size, dict.fromkeys(self._of.fields, 1))
        having = [(value, doc["_id"]) for doc in docs if (value := self._of.value_of(doc)) is not None]
        query = {"_id": {"$in": [value for value, _ in having]}}
        holders = [(doc["_id"], doc["of"]) async for doc in self._of.reservations.find(query)] if having else []
        suspects = [one for one in having if one not in holders]
        end = next_after(docs, size)
        return Look(len(having), suspects, (_RESERVATIONS, None) if end is None else (_DOCUMENTS, end))

    async def _look_back(self, last: Position, size: int) -> Look[Suspect]:
        """From reservations to documents."""
        docs = await slice_of(self._of.reservations, last, size, {"of": 1})
        there = await self._documents([doc["of"] for doc in docs])
        suspects = [(doc["_id"], doc["of"]) for doc in docs if not self._has(there.get(doc["of"]), doc["_id"])]
        end = next_after(docs, size)
        return Look(len(docs), suspects, None if end is None else (_RESERVATIONS, end))

    async def _documents(self, document_ids: Sequence[int]) -> dict[int, Doc]:
        found = self._of.documents.find(
            {"_id": {"$in": list(document_ids)}}, dict.fromkeys((*self._of.fields, "purge"), 1)
        )
        return {doc["_id"]: doc async for doc in found}

    def _has(self, doc: Doc | None, value: Any) -> bool:
        """Whether it may have the reservation. What is being purged may still: its purge takes it."""
        return doc is not None and ("purge" in doc or self._of.value_of(doc) == value)

    async def judge(self, suspects: Sequence[Suspect], since: Any, repair: bool) -> Judged[Suspect]:
        drifts = [drift for value, of in suspects for drift in await self._judge_one(value, of, repair)]
        return Judged(drifts, [])

    async def _judge_one(self, value: Any, of: int, repair: bool) -> list[Drift]:
        doc = (await self._documents([of])).get(of)
        reserved = await self._reservations.holder(value) == of
        has = doc is not None and self._of.value_of(doc) == value
        if reserved == has or (reserved and self._has(doc, value)):
            return []
        repaired = repair and await (self._reservations.claim(value, of) if has else self._take_back(value, of))
        return [Drift(self.kinds[0], of, int(reserved), int(has), repaired=repaired)]

    async def _take_back(self, value: Any, of: int) -> bool:
        vacated = await self._reservations.vacated(value, of)
        if vacated:
            await self._reservations.give_back(value, of)
        return vacated


class ReservedNames(_Compared):
    """Everybody's name, the deleted among them."""

    name: ClassVar[str] = "reserved names"
    kinds: ClassVar[Sequence[Kind]] = (Kind.NAME_RESERVED,)

    def __init__(self, mongo: Mongo) -> None:
        super().__init__(users.reserved_names(mongo))


class ReservedEmails(_Compared):
    """Everybody's address."""

    name: ClassVar[str] = "reserved emails"
    kinds: ClassVar[Sequence[Kind]] = (Kind.EMAIL_RESERVED,)

    def __init__(self, mongo: Mongo) -> None:
        super().__init__(users.reserved_emails(mongo))


class ReservedPairs(_Compared):
    """Who retweeted what."""

    name: ClassVar[str] = "reserved pairs"
    kinds: ClassVar[Sequence[Kind]] = (Kind.PAIR_RESERVED,)

    def __init__(self, mongo: Mongo) -> None:
        super().__init__(retweets.reserved_pairs(mongo))


class ReservedImports(_Compared):
    """The keys of imported tweets."""

    name: ClassVar[str] = "reserved imports"
    kinds: ClassVar[Sequence[Kind]] = (Kind.IMPORT_RESERVED,)

    def __init__(self, mongo: Mongo) -> None:
        super().__init__(tweets.reserved_imports(mongo))

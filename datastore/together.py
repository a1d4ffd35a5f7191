"""Together: small finds of all requests of a process, answered in round trips that they share. Never decides what is
asked, nor what is made of it.

A find costs a driver 250 us and more, whatever it finds; one aggregation that joins a dozen of them costs little more.
The finds of one aggregation are read one after the other and not as a snapshot, just as if they had been sent side by
side; each is read after it was asked for.
"""

from asyncio import Future
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from datastore import tracing
from datastore.calls import Collection, Doc, aggregated
from datastore.joined import Joined
from datastore.tracing import Parent

if TYPE_CHECKING:
    from datastore.mongo import Mongo

T = TypeVar("T")
U = TypeVar("U")
# The documents of each of some finds, once they have come.
Answer: TypeAlias = Future[list[list[Doc]] | None]
# Which find a document answers.
_OF = "of"
# Left to itself, MongoDB gives a first hundred documents and has itself asked for the rest.
_DOCUMENTS_AT_ONCE = 10_000
# Questions of one round trip: MongoDB reads one after the other, some 50 to 150 us each.
QUESTIONS_AT_ONCE = 32
# Two would leave less waiting and share less: the server took a tenth more CPU for a page, and so did MongoDB.
BATCHES_AT_ONCE = 1
# Many times what a batch takes. A connection that hangs, or a slow query, is not waited for by who has no part in it.
PATIENCE_SECONDS = 0.1


class Asked(Generic[T]):
    """What can be asked together with others."""

    __slots__ = ()
    mongo: "Mongo"
    made: Callable[[Sequence[Doc]], T]

    async def alone(self) -> T:
        """What is made of it. At most one round trip, shared with whoever asks meanwhile."""
        (found,) = await together(self)
        return found  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, eq=False)
class Find(Asked[T]):
    """What to ask of a collection, and what is made of the documents that come back. `sort` decides which index can
    answer: a hint is possible for none but the first of several finds. With `counted`, one document comes back, whose
    `n` says how many there are, or none for none."""

    mongo: "Mongo"
    name: str
    query: Doc
    fields: Doc
    made: Callable[[Sequence[Doc]], T]
    sort: Mapping[str, int] | None = None
    limit: int = 0
    counted: bool = False

    @property
    def collection(self) -> Collection:
        """Where it is asked."""
        return getattr(self.mongo, self.name)

    async def read(self) -> list[Doc]:
        """The documents, by a round trip of its own."""
        if self.counted:
            return await aggregated(self.collection, self._chosen())
        cursor = self.collection.find(self.query, self.fields, batch_size=_DOCUMENTS_AT_ONCE)
        cursor = cursor.sort([*self.sort.items()]) if self.sort else cursor
        found: list[Doc] = await (cursor.limit(self.limit) if self.limit else cursor).to_list(None)
        return found

    def stages(self, number: int) -> list[Doc]:
        """The find as an aggregation whose documents say that they are of it."""
        return [*self._chosen(), {"$project": {**self.fields, _OF: {"$literal": number}}}]

    def _chosen(self) -> list[Doc]:
        found: list[Doc] = [{"$match": self.query}]
        found += [{"$sort": dict(self.sort)}] if self.sort else []
        found += [{"$limit": self.limit}] if self.limit else []
        return [*found, {"$count": "n"}] if self.counted else found


@dataclass(frozen=True, slots=True, eq=False)
class Keyed:
    """A kind of look-up: documents by keys. A key stands under the name `by` as `written` gives it, and `key_of` reads
    it from what the projection `fields` leaves of a document."""

    name: str
    fields: Doc
    key_of: Callable[[Doc], Hashable] = lambda doc: doc["_id"]
    written: Callable[[Any], object] = lambda key: key
    by: str = "_id"
    where: Doc = field(default_factory=dict)
    # Instead of all that: the query for some keys, which may find more than was asked for; what each look-up makes of
    # the documents leaves out what is not its own.
    query: Callable[[Iterable[Any]], Doc] | None = None

    def asked(self, keys: Iterable[Hashable]) -> Doc:
        """The query for these keys."""
        if self.query:
            return self.query(keys)
        return {self.by: {"$in": [self.written(key) for key in keys]}} | self.where


@dataclass(frozen=True, slots=True, eq=False)
class Look(Asked[T]):
    """A look-up of some keys. Those of one kind are one find, whoever asked: nobody gets the documents of a
    key that they did not ask for."""

    mongo: "Mongo"
    kind: Keyed
    keys: Sequence[Hashable]
    made: Callable[[Sequence[Doc]], T]


def in_order(mongo: "Mongo", kind: Keyed, keys: Sequence[int], record: Callable[[Doc], T]) -> Look[list[T | None]]:
    """A look-up that gives the record of each key, in their order, None where there is none."""

    def made(docs: Sequence[Doc]) -> list[T | None]:
        found = {kind.key_of(doc): record(doc) for doc in docs}
        return [found.get(key) for key in keys]

    return Look(mongo, kind, keys, made)


async def together(*asked: Asked[Any]) -> list[Any]:
    """What is made of each Find or Look, in order. At most one round trip, shared with whoever asks meanwhile. Raises
    what MongoDB raised to all who shared it, and an outage at the deadline of the request."""
    return _all_made(asked, await asked[0].mongo.ask(asked))


class Begun(Generic[T]):
    """What has been asked and comes when it is awaited, once, by who asked it and has something else to do meanwhile:
    a task for either would cost as much as what is read. It may also be left. Otherwise as `together`."""

    __slots__ = ("_answer", "_asked", "_made")

    def __init__(
        self, asked: Sequence[Asked[Any]], made: Callable[[list[Any]], T], answer: Answer | None = None
    ) -> None:
        self._asked, self._made = asked, made
        self._answer = asked[0].mongo.begin(asked) if asked and answer is None else answer

    def __await__(self) -> Generator[Any, None, T]:
        return self._read().__await__()

    def then(self, made: Callable[[T], U]) -> "Begun[U]":
        """The same, with something else made of it."""
        first = self._made
        return Begun(self._asked, lambda found: made(first(found)), self._answer)

    async def _read(self) -> T:
        if self._answer is None:
            return self._made([])
        return self._made(_all_made(self._asked, await self._asked[0].mongo.answer(self._answer)))


def _all_made(asked: Sequence[Asked[Any]], found: Sequence[list[Doc]]) -> list[Any]:
    return [one.made(docs) for one, docs in zip(asked, found, strict=True)]


async def answered(asked: Sequence[Asked[Any]]) -> list[list[Doc]]:
    """The documents of each, in order. One round trip."""
    finds = [one for one in asked if isinstance(one, Find)]
    looks: dict[Keyed, list[Look[Any]]] = {}
    for one in asked:
        if isinstance(one, Look):
            looks.setdefault(one.kind, []).append(one)
    read = await _read([*finds, *map(as_one, looks.values())])
    found: dict[Asked[Any], list[Doc]] = dict(zip(finds, read, strict=False))
    for group, docs in zip(looks.values(), read[len(finds) :], strict=True):
        found |= zip(group, _parted(group, docs), strict=True)
    return [found[one] for one in asked]


def as_one(group: Sequence[Look[Any]]) -> Find[Any]:
    """One find for all look-ups of a kind."""
    kind = group[0].kind
    keys = dict.fromkeys(key for look in group for key in look.keys)
    return Find(group[0].mongo, kind.name, kind.asked(keys), kind.fields, list)


def _parted(group: Sequence[Look[Any]], docs: list[Doc]) -> Iterable[list[Doc]]:
    """What such a find has found for each of them."""
    if not docs or len(group) == 1 or group[0].kind.query:
        return [docs] * len(group)
    by_key: dict[Hashable, list[Doc]] = {}
    for doc in docs:
        by_key.setdefault(group[0].kind.key_of(doc), []).append(doc)
    return ([doc for key in look.keys for doc in by_key.get(key, ())] for look in group)


async def _read(finds: Sequence[Find[Any]]) -> list[list[Doc]]:
    """The documents of each find, in order. One round trip."""
    if len(finds) == 1:
        return [await finds[0].read()]
    first, *others = ((find, find.stages(number)) for number, find in enumerate(finds))
    unions = [{"$unionWith": {"coll": find.name, "pipeline": stages}} for find, stages in others]
    docs: list[list[Doc]] = [[] for _ in finds]
    for doc in await aggregated(first[0].collection, [*first[1], *unions], batchSize=_DOCUMENTS_AT_ONCE):
        docs[doc[_OF]].append(doc)
    return docs


class Reads:
    """What the requests of a process ask one database. `limit` bounds a round trip: it is nobody's in particular, so
    no one request's deadline may end it."""

    def __init__(self, limit: Callable[[], AbstractContextManager[None]]) -> None:
        self._limit = limit
        self._joined = Joined(self._answers, QUESTIONS_AT_ONCE, BATCHES_AT_ONCE, PATIENCE_SECONDS, Context)

    def ask(self, asked: Sequence[Asked[Any]]) -> Answer:
        """The documents of each, in order, read behind this call. At most one round trip."""
        return self._joined.ask(_Question(asked, tracing.current()))

    async def _answers(self, questions: Sequence["_Question"]) -> dict["_Question", list[list[Doc]]]:
        parents = [("mongodb reads", question.parent) for question in questions if question.parent]
        with self._limit(), tracing.spans(parents):
            found = iter(await answered([one for question in questions for one in question.asked]))
        return {question: [next(found) for _ in question.asked] for question in questions}


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """What one caller asks at once, and in whose span."""

    asked: Sequence[Asked[Any]]
    parent: Parent

"""Oracle: what the documents were after each write, and so what every page may and must show. Shares no rule and no
query with the product: it reads whole collections and filters in Python."""

from dataclasses import dataclass, replace
from typing import Any

from datastore.ids import Kind, kind
from tests.model.wire import Wire


@dataclass(frozen=True)
class Entry:
    """What one may see of somebody: a tweet, or somebody's retweet of it. `author` contributes it to timelines, `by`
    wrote the tweet, `answers` is whom that answers."""

    tweet: int
    author: int
    by: int
    answers: int | None


@dataclass(frozen=True)
class Documents:
    """All that decides what is seen, at one moment. Follows are (follower, author), blocks (owner, kind, target)."""

    tweets: frozenset[int] = frozenset()
    retweets: frozenset[int] = frozenset()
    follows: frozenset[tuple[int, int]] = frozenset()
    blocks: frozenset[tuple[int, str, int]] = frozenset()

    def conditions(self, viewer: int, id_: int, entry: Entry) -> tuple[bool, ...]:
        """What must all hold for the viewer to see this entry."""

        def follows(author: int) -> bool:
            return (viewer, author) in self.follows

        def shown(other: int) -> bool:
            hidden = {(viewer, "block", other), (viewer, "mute", other), (other, "block", viewer)}
            return other == viewer or not hidden & self.blocks

        mine = entry.author == viewer
        alive = entry.tweet in self.tweets and (id_ == entry.tweet or id_ in self.retweets)
        if kind(id_) is Kind.RETWEET:
            fresh = entry.by != viewer and not follows(entry.by)
        else:
            fresh = mine or entry.answers in (None, entry.by, viewer) or follows(entry.answers or 0)
        return alive, mine or follows(entry.author), shown(entry.author), shown(entry.by), fresh


class History:
    """The documents of some people, moment by moment. A moment is an index; the last one is now."""

    def __init__(self, database: Wire, people: list[int]) -> None:
        self._database, self.people = database, people
        self.entries: dict[int, Entry] = {}
        self.moments = [Documents()]
        # The moment at which an entry was first there.
        self.born: dict[int, int] = {}

    @property
    def now(self) -> int:
        return len(self.moments) - 1

    def look(self, collection: str) -> tuple[frozenset[Any], frozenset[Any]]:
        """Read a collection again, as a new moment if it differs; gives what came and what went."""
        if collection not in ("tweets", "retweets", "follows", "blocks"):
            return frozenset(), frozenset()
        before: frozenset[Any] = getattr(self.moments[-1], collection)
        after = getattr(self, f"_{collection}")()
        if before != after:
            self.moments.append(replace(self.moments[-1], **{collection: after}))
            for id_ in after - before:
                self.born.setdefault(id_, self.now)
        return after - before, before - after

    def _alive(self, collection: str) -> list[dict[str, Any]]:
        return self._database[collection].find({"author": {"$in": self.people}, "alive": True})

    def _tweets(self) -> frozenset[int]:
        docs = self._alive("tweets")
        for doc in docs:
            self.entries[doc["_id"]] = Entry(doc["_id"], doc["author"], doc["author"], doc.get("reply_author"))
        return frozenset(doc["_id"] for doc in docs)

    def _retweets(self) -> frozenset[int]:
        docs = self._alive("retweets")
        for doc in docs:
            by = self.entries[doc["tweet"]].by
            self.entries[doc["_id"]] = Entry(doc["tweet"], doc["author"], by, None)
        return frozenset(doc["_id"] for doc in docs)

    def _follows(self) -> frozenset[tuple[int, int]]:
        docs = self._database["follows"].find({"_id.f": {"$in": self.people}})
        return frozenset((doc["_id"]["f"], doc["_id"]["a"]) for doc in docs)

    def _blocks(self) -> frozenset[tuple[int, str, int]]:
        docs = self._database["blocks"].find({"_id.o": {"$in": self.people}})
        return frozenset((doc["_id"]["o"], doc["_id"]["k"], doc["_id"]["t"]) for doc in docs)

    def visible(self, viewer: int, moment: int) -> list[int]:
        """The whole timeline at that moment, newest first."""
        found = self.moments[moment]
        return sorted((id_ for id_, e in self.entries.items() if all(found.conditions(viewer, id_, e))), reverse=True)

    def allowed(self, viewer: int, id_: int, since: int) -> bool:
        """Whether each condition of the entry has held at some moment since: a reader who looks at the parts one after
        the other may then show it."""
        if (entry := self.entries.get(id_)) is None:
            return False
        columns = zip(*(found.conditions(viewer, id_, entry) for found in self.moments[since:]), strict=True)
        return all(any(column) for column in columns)

    def throughout(self, viewer: int, since: int) -> list[int]:
        """The entries that were visible at every moment since."""
        return [
            id_
            for id_ in self.visible(viewer, since)
            if all(all(found.conditions(viewer, id_, self.entries[id_])) for found in self.moments[since + 1 :])
        ]

    def follows_throughout(self, viewer: int, author: int, since: int) -> bool:
        return all((viewer, author) in found.follows for found in self.moments[since:])

"""Writes of an import: batches of rows become documents, each batch and its counters at once. Never reads a file."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from datastore import bulk, entities, import_rows, rules, tweets, users
from datastore.bulk import Wish
from datastore.import_files import shown
from datastore.import_lines import RowError
from datastore.import_rows import FollowRow, TweetRow, UserRow
from datastore.mongo import Doc, Mongo, Session
from datastore.records import Tweet

Row = TypeVar("Row", UserRow, TweetRow)

# About 10 MB. Beyond it the cache starts anew: a batch asks for all the names it lacks in one query.
CACHED_NAMES = 100_000


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch. `people` are the followers (follows) or the authors (tweets) in it, those of present rows
    too: an earlier run may have died between writing them and telling."""

    added: int
    present: int
    refused: Sequence[tuple[int, RowError]]
    people: set[int]


class ImportWriter:
    """Writes batches. With `stop`, nothing of a batch behind its first row that is refused."""

    def __init__(self, mongo: Mongo, now_ms: int, stop: bool) -> None:
        self._mongo = mongo
        self._now_ms = now_ms
        self._stop = stop
        self._cache: dict[str, int] = {}

    # People

    async def users(self, rows: Sequence[UserRow]) -> Written:
        """Adds those whose name is new; who is present stays as they are. Refuses an email address that is taken."""
        return await bulk.atomically(self._mongo, lambda session: self._users(rows, session))

    async def _users(self, rows: Sequence[UserRow], session: Session) -> Written:
        names = await self._taken("name_key", [rules.username_key(row.username) for row in rows], session)
        emails = await self._taken("email_key", [rules.email_key(row.email) for row in rows if row.email], session)

        def is_new(row: UserRow) -> bool:
            if rules.username_key(row.username) in names:
                return False
            if row.email and rules.email_key(row.email) in emails:
                raise RowError("the email address belongs to another account")
            names.add(rules.username_key(row.username))
            emails.update([rules.email_key(row.email)] if row.email else [])
            return True

        sifted = _sift(rows, is_new, self._stop)
        wishes = [_person_wish(row) for row in sifted.new]
        user_ids = await bulk.free_ids(self._mongo.users, wishes, session)
        docs = [_user_doc(row, user_id) for row, user_id in zip(sifted.new, user_ids, strict=True)]
        await bulk.insert_people(self._mongo, docs, session)
        return Written(len(docs), sifted.present, sifted.refused, set())

    async def _taken(self, field: str, keys: Sequence[str], session: Session) -> set[str]:
        cursor = self._mongo.users.find({field: {"$in": list(keys)}}, {field: 1}, session=session)
        return {doc[field] async for doc in cursor}

    async def _ids_of(self, names: Iterable[str]) -> dict[str, int]:
        """Ids by username key; who is missing is created first."""
        wanted = {rules.username_key(name): name for name in names}
        found = {key: self._cache[key] for key in wanted if key in self._cache}
        if unknown := [key for key in wanted if key not in found]:
            found |= await self._look_up(unknown)
        if missing := [key for key in wanted if key not in found]:
            await self.users([import_rows.named(wanted[key], self._now_ms) for key in missing])
            found |= await self._look_up(missing)
        if len(self._cache) + len(found) > CACHED_NAMES:
            self._cache.clear()
        self._cache |= found
        return found

    async def _look_up(self, keys: Sequence[str]) -> dict[str, int]:
        cursor = self._mongo.users.find({"name_key": {"$in": list(keys)}}, {"name_key": 1})
        return {doc["name_key"]: doc["_id"] async for doc in cursor}

    # Follows

    async def follows(self, rows: Sequence[FollowRow]) -> Written:
        """Adds the edges that are new and counts them at both ends."""
        people = await self._ids_of(name for row in rows for name in (row.follower, row.author))
        docs: dict[tuple[int, int], Doc] = {}
        for row in rows:
            follower, author = (people[rules.username_key(name)] for name in (row.follower, row.author))
            docs.setdefault(
                (follower, author), {"_id": {"a": author, "f": follower}, "at": row.at_ms, "imported": True}
            )
        added = await bulk.atomically(self._mongo, lambda session: self._follows(docs, session))
        return Written(added, len(rows) - added, [], {follower for follower, _ in docs})

    async def _follows(self, docs: Mapping[tuple[int, int], Doc], session: Session) -> int:
        # Looked up, not upserted: an upsert costs the server three times as much as an insert.
        keys = [doc["_id"] for doc in docs.values()]
        cursor = self._mongo.follows.find({"_id": {"$in": keys}}, {"_id": 1}, session=session)
        known = {(doc["_id"]["f"], doc["_id"]["a"]) async for doc in cursor}
        new = [doc for pair, doc in docs.items() if pair not in known]
        await bulk.insert(self._mongo.follows, new, session)
        await bulk.increment(self._mongo.users, "followers", (doc["_id"]["a"] for doc in new), session)
        await bulk.increment(self._mongo.users, "following", (doc["_id"]["f"] for doc in new), session)
        return len(new)

    # Tweets

    async def tweets(self, rows: Sequence[TweetRow]) -> Written:
        """Adds the tweets that are new and counts them for their authors and for what they answer.

        Refuses an answer to a tweet that is neither in the store nor on an earlier row.
        """
        people = await self._ids_of(row.author for row in rows)
        return await bulk.atomically(self._mongo, lambda session: self._tweets(rows, people, session))

    async def _tweets(self, rows: Sequence[TweetRow], people: Mapping[str, int], session: Session) -> Written:
        by_key = await self._tweets_by_key(rows, session)
        known = set(by_key)

        def is_new(row: TweetRow) -> bool:
            if row.key in known:
                return False
            if row.answered_key and row.answered_key not in known:
                raise RowError(
                    f"in_reply_to {shown(import_rows.external_id(row.answered_key))} was not imported before"
                )
            known.add(row.key)
            return True

        sifted = _sift(rows, is_new, self._stop)
        wishes = [Wish(row.at_ms, people[rules.username_key(row.author)], _digest(row.key)) for row in sifted.new]
        tweet_ids = await bulk.free_ids(self._mongo.tweets, wishes, session)
        named = await self._named(sifted.new, session)
        docs = [_tweet_doc(*made, by_key, named) for made in zip(sifted.new, wishes, tweet_ids, strict=True)]
        await self._weigh(docs, session)
        await bulk.reserve(self._mongo.import_keys, {doc["import_key"]: doc["_id"] for doc in docs}, session)
        await bulk.insert(self._mongo.tweets, docs, session)
        await bulk.increment(self._mongo.users, "tweets", (doc["author"] for doc in docs), session)
        await bulk.increment_replies(self._mongo, docs, session)
        return Written(
            len(docs), sifted.present, sifted.refused, {people[rules.username_key(row.author)] for row in rows}
        )

    async def _named(self, rows: Sequence[TweetRow], session: Session) -> dict[str, int]:
        """Ids by username key of those the texts mention who exist; a mention creates nobody."""
        keys = {rules.username_key(name) for row in rows for name in entities.mentions(row.text)}
        query = {"name_key": {"$in": list(keys)}}
        cursor = self._mongo.users.find(query, {"name_key": 1}, session=session)
        return {doc["name_key"]: doc["_id"] async for doc in cursor}

    async def _weigh(self, docs: Sequence[Doc], session: Session) -> None:
        """Give each its author's present number of followers."""
        query = {"_id": {"$in": list({doc["author"] for doc in docs})}}
        authors = self._mongo.users.find(query, {"followers": 1}, session=session)
        followers = {doc["_id"]: max(doc["followers"], 0) async for doc in authors}
        for doc in docs:
            doc["author_followers"] = followers.get(doc["author"], 0)

    async def _tweets_by_key(self, rows: Sequence[TweetRow], session: Session) -> dict[str, Tweet]:
        """The imported tweets that the rows are or answer. A deleted one counts: it stays deleted."""
        keys = {key for row in rows for key in (row.key, row.answered_key) if key}
        cursor = self._mongo.import_keys.find({"_id": {"$in": list(keys)}}, session=session)
        if not (by_key := {doc["_id"]: doc["of"] async for doc in cursor}):
            return {}
        query = {"_id": {"$in": list(by_key.values())}}
        authors = self._mongo.tweets.find(query, {"author": 1}, session=session)
        stubs = {doc["_id"]: _stub(doc["_id"], doc["author"]) async for doc in authors}
        return {key: stubs[tweet_id] for key, tweet_id in by_key.items() if tweet_id in stubs}


@dataclass(frozen=True, slots=True)
class _Sifted(Generic[Row]):
    new: list[Row]
    present: int
    refused: list[tuple[int, RowError]]


def _sift(rows: Sequence[Row], is_new: Callable[[Row], bool], stop: bool) -> _Sifted[Row]:
    """Parts the rows, in order; with `stop`, only up to the first that `is_new` refuses."""
    new: list[Row] = []
    refused: list[tuple[int, RowError]] = []
    present = 0
    for row in rows:
        try:
            if is_new(row):
                new.append(row)
            else:
                present += 1
        except RowError as error:
            refused.append((row.line, error))
            if stop:
                break
    return _Sifted(new, present, refused)


def _digest(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])


def _person_wish(row: UserRow) -> Wish:
    # People have no author; their name spreads them over the buckets, so that thousands fit into one moment.
    digest = _digest(rules.username_key(row.username))
    return Wish(row.at_ms, digest, digest)


def _user_doc(row: UserRow, user_id: int) -> Doc:
    doc = users.new_doc(row.username, row.display_name, row.at_ms)
    doc |= {"_id": user_id, "bio": row.bio, "imported": True}
    return doc | ({"email": row.email, "email_key": rules.email_key(row.email)} if row.email else {})


def _tweet_doc(row: TweetRow, wish: Wish, tweet_id: int, by_key: dict[str, Tweet], mentioned: Mapping[str, int]) -> Doc:
    """The document; it joins `by_key`, for later rows answer it."""
    by_key[row.key] = _stub(tweet_id, wish.author_id)
    answered = by_key[row.answered_key] if row.answered_key else None
    doc = tweets.new_doc(tweet_id, wish.author_id, row.text, answered, mentioned)
    return doc | {"imported": True, "import_key": row.key}


def _stub(tweet_id: int, author_id: int) -> Tweet:
    return Tweet(tweet_id, author_id, "", None, None, 0, 0, 0)

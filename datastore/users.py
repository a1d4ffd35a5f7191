"""People and their accounts: one document each, with counters that a reconciler can recount. Never hashes or checks
a password.

Names and addresses are reservations that tell the person's id (datastore/reservations.py says in which order). A name
without a person is a sign-up under way, or one that died: after a while whoever wants the name puts a tombstone where
that person would come, and takes it over. So no name is blocked for ever, and no two people ever have one.

A deleted account leaves a tombstone: its id, `name_key` and `deleted_at`, and while the rest is being purged `purge`
(datastore/purges.py). No answer here shows one. Its name stays reserved. Its address is free at once: who has a
reservation and not the address itself does not have it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from datastore import ids, rules, terms
from datastore.errors import DomainError, ErrorCode
from datastore.mongo import Collection, Doc, DuplicateKeyError, Mongo
from datastore.records import Account, Roads, User
from datastore.reservations import Reservations, Reserved
from datastore.together import Keyed, Look, in_order

_PROFILE: Doc = {"username": 1, "display_name": 1, "bio": 1, "followers": 1, "following": 1, "tweets": 1, "top": 1}
_ACCOUNT: Doc = _PROFILE | {"email": 1, "password": 1}
# Not a tombstone. In every filter: a check before a write would be too early.
_ALIVE: Doc = {"deleted_at": None}
_NAMES = Keyed("users", _PROFILE | {"name_key": 1}, lambda doc: doc["name_key"], by="name_key", where=_ALIVE)
_PEOPLE = Keyed("users", _PROFILE, where=_ALIVE)
# What says who somebody was goes with the very write that deletes them; the rest goes with the purge.
_PERSONAL = ("username", "display_name", "bio", "prefixes", "email", "email_key", "password")
# Longer than a sign-up may take between its first write and its last (REQUEST_SECONDS). Only politeness hangs on it:
# who comes earlier is told that the name is taken, who comes later takes it over safely.
RESERVED_MS = 30_000
_TAKEN: Mapping[str, tuple[ErrorCode, str, tuple[str, str]]] = {
    "name_key": (ErrorCode.USERNAME_TAKEN, "This username is taken.", ("input", "username")),
    "email_key": (ErrorCode.EMAIL_TAKEN, "This email address has an account.", ("input", "email")),
}


class Users:
    """The people of Perch."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._users = mongo.users
        # By the field of a person that has the value; in the order in which they are taken.
        self._reservations = {
            "name_key": Reservations(reserved_names(mongo)),
            "email_key": Reservations(reserved_emails(mongo)),
        }

    async def add(self, username: str, email: str, password_hash: str, display_name: str, now_ms: int) -> Account:
        """A new account; the arguments have passed the rules. Raises USERNAME_TAKEN or EMAIL_TAKEN.

        Three writes, the person last: who dies before that leaves a name that is free again after `RESERVED_MS`.
        """
        while True:
            doc = new_doc(username, display_name, now_ms) | {
                "email": email,
                "email_key": rules.email_key(email),
                "password": password_hash,
            }
            try:
                return await self._add(doc, now_ms)
            except DuplicateKeyError:
                # Its id is somebody else's, or was given up because it took too long.
                continue

    async def _add(self, doc: Doc, now_ms: int) -> Account:
        """Raises DuplicateKeyError, and as `add` does; then nothing is taken."""
        taken: list[str] = []
        try:
            for field in self._reservations:
                if not await self._reserve(field, doc[field], doc["_id"], now_ms):
                    raise DomainError(*_TAKEN[field])
                taken.append(field)
            await self._users.insert_one(doc)
            return _account(doc)
        except (DomainError, DuplicateKeyError):
            for field in taken:
                await self._reservations[field].give_back(doc[field], doc["_id"])
            raise

    async def _reserve(self, field: str, value: str, user_id: int, now_ms: int) -> bool:
        """Take a name or an address; False if it is somebody's. A deleted account has no address, and a sign-up that
        died has nothing."""
        reservations = self._reservations[field]
        holder = await reservations.take(value, user_id)
        if holder == user_id:
            return True
        return not await self._is_coming(holder, now_ms) and await reservations.claim(value, user_id)

    async def _is_coming(self, user_id: int, now_ms: int) -> bool:
        """Whether their sign-up may still be under way."""
        began = ids.at_ms(user_id) + RESERVED_MS > now_ms
        return began and await self._users.find_one({"_id": user_id}, {"_id": 1}) is None

    async def get_many(self, user_ids: Sequence[int]) -> list[User | None]:
        """Profiles in the order of `user_ids`, None where there is none. One round trip."""
        return await self.find_many(user_ids).alone()

    def find_many(self, user_ids: Sequence[int]) -> Look[list[User | None]]:
        """`get_many`, to be asked together with others."""
        return in_order(self._mongo, _PEOPLE, user_ids, _user)

    async def get(self, user_id: int) -> User | None:
        """One profile."""
        return (await self.get_many([user_id]))[0]

    async def by_username(self, username: str) -> User | None:
        """The profile under this name, case ignored."""
        look = Look(self._mongo, _NAMES, [rules.username_key(username)], lambda docs: [*map(_user, docs)])
        return next(iter(await look.alone()), None)

    async def account(self, user_id: int) -> Account | None:
        """One account, with its private parts."""
        doc = await self._users.find_one({"_id": user_id} | _ALIVE, _ACCOUNT)
        return _account(doc) if doc else None

    async def account_by_login(self, username_or_email: str) -> Account | None:
        """The account of a username or an email address, case ignored. An @ makes it an address."""
        if "@" in username_or_email:
            query = {"email_key": rules.email_key(username_or_email)}
        else:
            query = {"name_key": rules.username_key(username_or_email)}
        doc = await self._users.find_one(query | _ALIVE, _ACCOUNT)
        return _account(doc) if doc else None

    async def set_password(self, user_id: int, password_hash: str, instead_of: str | None = None) -> bool:
        """Replace the hash; False if the account is gone, or if its hash is no longer `instead_of`.

        With `instead_of`, who proved an old password cannot overwrite a newer one.
        """
        query = {"_id": user_id} | _ALIVE | ({"password": instead_of} if instead_of is not None else {})
        result = await self._users.update_one(query, {"$set": {"password": password_hash}})
        return bool(result.matched_count)

    async def update_profile(self, user_id: int, display_name: str | None, bio: str | None) -> User | None:
        """Change what is not None; the arguments have passed the rules. The new profile, None if the account is gone.

        One atomic write.
        """
        given = {"display_name": display_name, "bio": bio}
        changed: Doc = {name: value for name, value in given.items() if value is not None}
        user = await self.get(user_id)
        if not changed or user is None:
            return user
        change: Doc = {"$set": changed}
        if display_name is not None:
            # What they are found by goes with the name; usernames never change.
            found_by = findable(user.username, display_name)
            change = {"$set": changed | found_by} | ({} if found_by else {"$unset": {"prefixes": ""}})
        doc = await self._users.find_one_and_update({"_id": user_id} | _ALIVE, change, _PROFILE, return_document=True)
        return _user(doc) if doc else None

    async def delete(self, user_id: int, password_hash: str, now: datetime) -> bool:
        """Leave a tombstone; False if the account is gone already or its password is no longer this one.

        One atomic write: from here on nobody logs in, the profile and the tweets are hidden, the address is free, and
        the purge is due.
        """
        query = {"_id": user_id, "password": password_hash} | _ALIVE
        change: Doc = {
            "$set": {"deleted_at": now, "purge": {"due": now, "last": False}},
            "$unset": dict.fromkeys(_PERSONAL, ""),
        }
        result = await self._users.update_one(query, change)
        return bool(result.matched_count)

    async def roads(self, user_id: int) -> Roads | None:
        """How their entries travel; None for nobody."""
        return (await self.roads_of([user_id])).get(user_id)

    async def roads_of(self, user_ids: Sequence[int]) -> dict[int, Roads]:
        """How the entries of each of them travel; nobody has none. One round trip."""
        # A tombstone whose purge has finished has none either; one that is being purged still has.
        query = {"_id": {"$in": list(user_ids)}, "top": {"$exists": True}}
        docs = await self._users.find(query, {"followers": 1, "top": 1, "switches": 1}).to_list(None)
        return {doc["_id"]: _roads(doc) for doc in docs}

    async def switch(self, user_id: int, top: bool, first_id: int) -> bool:
        """From now on, and from `first_id` on at the earliest, their entries take the other road; False if they are on
        it already. One atomic write."""
        # By MongoDB's clock and not only by the caller's: whoever is held up before this must not change the road of
        # entries that others have sent meanwhile (the model found it).
        since = {"$subtract": [{"$toLong": "$$NOW"}, ids.EPOCH_MS]}
        written_at = {"$multiply": [since, ids.first_at(ids.EPOCH_MS + 1)]}
        row = {"from": {"$max": [first_id, written_at]}, "top": top}
        log = {"$concatArrays": [{"$ifNull": ["$switches", []]}, [row]]}
        result = await self._users.update_one(
            {"_id": user_id, "top": not top}, [{"$set": {"top": top, "switches": log}}]
        )
        return bool(result.modified_count)

    async def due(self, threshold: int) -> list[int]:
        """Who has more than `threshold` followers and is not a top user. Reads everybody: for imports only."""
        query = {"followers": {"$gt": threshold}, "top": False}
        return [doc["_id"] async for doc in self._users.find(query, {"_id": 1})]


def new_doc(username: str, display_name: str, now_ms: int) -> Doc:
    """The document of a person who has just arrived, without email and password."""
    return {
        "_id": ids.new(now_ms),
        "username": username,
        "name_key": rules.username_key(username),
        "display_name": display_name,
        "bio": "",
        "followers": 0,
        "following": 0,
        "tweets": 0,
        "top": False,
    } | findable(username, display_name)


def reserved_names(mongo: Mongo) -> Reserved:
    """The names of all people, deleted ones among them."""
    return _reserved(mongo, mongo.names, "name_key")


def reserved_emails(mongo: Mongo) -> Reserved:
    """The addresses of those who have one; deleted people have none."""
    return _reserved(mongo, mongo.emails, "email_key")


def _reserved(mongo: Mongo, reservations: Collection, field: str) -> Reserved:
    return Reserved(
        reservations, mongo.users, (field,), lambda doc: doc.get(field), lambda user_id, _, now: never(user_id, now)
    )


def never(user_id: int, now: datetime) -> Doc:
    """A tombstone for somebody who has not come and must not come any more."""
    return {"_id": user_id, "deleted_at": now}


def findable(username: str, display_name: str) -> Doc:
    """What a person is found by beside their username: `prefixes`, to be set with each new display name. Pure; an
    empty one is absent, so whoever sets it on a document there is unsets it then."""
    prefixes = terms.of_name(username, display_name)
    return {"prefixes": prefixes} if prefixes else {}


def _roads(doc: Doc) -> Roads:
    switches = tuple((row["from"], row["top"]) for row in doc.get("switches", ()))
    return Roads(doc["followers"], doc["top"], switches)


def _user(doc: Doc) -> User:
    return User(
        id=doc["_id"],
        username=doc["username"],
        display_name=doc["display_name"],
        bio=doc["bio"],
        # A counter may stand below its edges for a moment after a crash; nobody should see a negative one.
        follower_count=max(doc["followers"], 0),
        following_count=max(doc["following"], 0),
        tweet_count=max(doc["tweets"], 0),
        is_top_user=doc["top"],
    )


def _account(doc: Doc) -> Account:
    return Account(_user(doc), doc.get("email"), doc.get("password"))

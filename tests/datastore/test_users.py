"""People: unique names and addresses whatever their case, and counters that nobody sees below zero."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from datastore import bulk, ids
from datastore.errors import DomainError, ErrorCode
from datastore.mongo import AutoReconnect, DuplicateKeyError, Mongo
from datastore.records import Account, User
from datastore.users import RESERVED_MS, Users, new_doc
from tests.datastore.dying import Dying

NOW_MS = 1_780_000_000_000


async def add(users: Users, name: str, email: str | None = None) -> Account:
    return await users.add(name, email or f"{name}@perch.example", "a hash", name.title(), NOW_MS)


async def test_a_new_account_has_a_profile_without_counts(mongo: Mongo) -> None:
    users = Users(mongo)
    account = await add(users, "ann")
    profile = account.user
    assert profile == User(profile.id, "ann", "Ann", "", 0, 0, 0, False)
    assert ids.at_ms(profile.id) == NOW_MS
    assert (account.email, account.password_hash) == ("ann@perch.example", "a hash")
    assert await users.account(profile.id) == account
    assert await users.get(profile.id) == await users.by_username("ANN") == profile


async def test_names_and_addresses_are_unique_ignoring_case(mongo: Mongo) -> None:
    users = Users(mongo)
    await add(users, "Ann")
    with pytest.raises(DomainError) as caught:
        await add(users, "aNN", "other@perch.example")
    assert (caught.value.code, caught.value.path) == (ErrorCode.USERNAME_TAKEN, ("input", "username"))
    with pytest.raises(DomainError) as caught:
        await add(users, "other", "ANN@Perch.Example")
    assert (caught.value.code, caught.value.path) == (ErrorCode.EMAIL_TAKEN, ("input", "email"))


async def test_of_20_who_want_one_name_at_once_one_gets_it(mongo: Mongo) -> None:
    users = Users(mongo)
    outcomes = await asyncio.gather(
        *(add(users, "ann", f"{number}@perch.example") for number in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Account) for outcome in outcomes) == 1
    refused = [outcome.code for outcome in outcomes if isinstance(outcome, DomainError)]
    assert refused == [ErrorCode.USERNAME_TAKEN] * 19
    assert await mongo.users.count_documents({}) == 1


async def test_a_clash_of_ids_is_tried_again(mongo: Mongo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_random", Bits(iter([5, 0, 5, 0, 6, 0])))
    users = Users(mongo)
    ann, bob = await add(users, "ann"), await add(users, "bob")
    assert (ids.bucket(ann.user.id), ids.bucket(bob.user.id)) == (5, 6)


class Bits:
    """Random bits that are not."""

    def __init__(self, bits: Iterator[int]) -> None:
        self._bits = bits

    def getrandbits(self, count: int) -> int:
        return next(self._bits)


async def reservations(mongo: Mongo) -> dict[str, int]:
    """Who has which name and which address."""
    return {doc["_id"]: doc["of"] for each in (mongo.names, mongo.emails) async for doc in each.find({})}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("collection", ["names", "emails", "users"])
async def test_a_sign_up_that_died_blocks_its_name_for_a_while_and_nobody_for_ever(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch, collection: str, after: bool
) -> None:
    whole = getattr(mongo, collection)
    monkeypatch.setattr(mongo, collection, Dying(whole, "insert_one", after))
    with pytest.raises(AutoReconnect):
        await add(Users(mongo), "ann")
    monkeypatch.setattr(mongo, collection, whole)
    users = Users(mongo)
    there = await users.by_username("ann") is not None
    assert there is (collection == "users" and after)
    for later_ms, free in ((RESERVED_MS - 1, collection == "names" and not after), (RESERVED_MS, not there)):
        signing_up = users.add("Ann", "ann@perch.example", "a hash", "Ann", NOW_MS + later_ms)
        if free:
            account = await signing_up
            break
        with pytest.raises(DomainError) as caught:
            await signing_up
        assert caught.value.code is ErrorCode.USERNAME_TAKEN
    living = await mongo.users.find({"deleted_at": None}).to_list(None)
    assert len(living) == 1
    assert await reservations(mongo) == dict.fromkeys(("ann", "ann@perch.example"), living[0]["_id"])
    assert there or account.user.id == living[0]["_id"]


async def test_who_was_frozen_behind_the_reservation_comes_too_late(mongo: Mongo) -> None:
    frozen, users = Users(mongo), Users(mongo)
    waits, thaws = asyncio.Event(), asyncio.Event()

    class Frozen:
        """Inserts only when it is let."""

        def __getattr__(self, name: str) -> object:
            return getattr(mongo.users, name)

        async def insert_one(self, doc: dict[str, object]) -> None:
            waits.set()
            await thaws.wait()
            await mongo.users.insert_one(doc)

    frozen._users = cast(Any, Frozen())
    late = asyncio.create_task(add(frozen, "ann"))
    await waits.wait()
    ann = await users.add("ann", "other@perch.example", "a hash", "Ann", NOW_MS + RESERVED_MS)
    thaws.set()
    with pytest.raises(DomainError) as caught:
        await late
    assert caught.value.code is ErrorCode.USERNAME_TAKEN
    assert await mongo.users.count_documents({"name_key": "ann"}) == 1
    assert await reservations(mongo) == dict.fromkeys(("ann", "other@perch.example"), ann.user.id)


async def test_a_refused_sign_up_leaves_nothing_reserved(mongo: Mongo) -> None:
    users = Users(mongo)
    await add(users, "ann")
    before = await reservations(mongo)
    with pytest.raises(DomainError):
        await add(users, "bob", "ann@perch.example")
    assert await reservations(mongo) == before
    assert (await add(users, "bob")).user.username == "bob"


async def test_an_import_takes_over_what_a_dead_sign_up_reserved_and_a_live_one_is_refused(mongo: Mongo) -> None:
    never, docs = ids.new(NOW_MS), [new_doc(name, name, NOW_MS + n) for n, name in enumerate(("ann", "bob"))]
    await mongo.names.insert_one({"_id": "ann", "of": never})
    await bulk.atomically(mongo, lambda session: bulk.insert_people(mongo, docs, session))
    assert await reservations(mongo) == {doc["name_key"]: doc["_id"] for doc in docs}
    with pytest.raises(DuplicateKeyError):
        await mongo.users.insert_one({"_id": never, "name_key": "ann"})


async def test_profiles_come_in_the_order_asked_none_where_there_is_none(mongo: Mongo) -> None:
    users = Users(mongo)
    ann, bob = (await add(users, "ann")).user, (await add(users, "bob")).user
    assert await users.get_many([bob.id, 7, ann.id, bob.id]) == [bob, None, ann, bob]
    assert await users.get_many([]) == []
    assert await users.get(7) is None
    assert await users.account(7) is None
    assert await users.by_username("nobody") is None


async def test_one_logs_in_by_name_or_address_whatever_the_case(mongo: Mongo) -> None:
    users = Users(mongo)
    account = await add(users, "Ann", "Ann.Lee@Perch.Example")
    for login in ("ann", "ANN", "ann.lee@perch.example", "ANN.LEE@PERCH.EXAMPLE"):
        assert await users.account_by_login(login) == account
    for login in ("", "@", "ann@", "nobody", "nobody@perch.example", "ann.lee", "\x00", "x" * 10_000):
        assert await users.account_by_login(login) is None


async def test_several_people_may_have_no_address(mongo: Mongo) -> None:
    await mongo.users.insert_many([new_doc(name, name, at) for at, name in enumerate(("ann", "bob"), NOW_MS)])
    account = await Users(mongo).account_by_login("ann")
    assert account
    assert (account.email, account.password_hash) == (None, None)


async def test_a_password_is_replaced(mongo: Mongo) -> None:
    users = Users(mongo)
    account = await add(users, "ann")
    await users.set_password(account.user.id, "another hash")
    found = await users.account(account.user.id)
    assert found
    assert found.password_hash == "another hash"


async def test_nobody_sees_a_counter_below_zero(mongo: Mongo) -> None:
    users = Users(mongo)
    ann = (await add(users, "ann")).user
    await asyncio.gather(
        *(
            mongo.users.update_one({"_id": ann.id}, {"$inc": {counter: -1}})
            for counter in ("followers", "following", "tweets")
        )
    )
    seen = await users.get(ann.id)
    assert seen
    assert (seen.follower_count, seen.following_count, seen.tweet_count) == (0, 0, 0)
    await asyncio.gather(*(mongo.users.update_one({"_id": ann.id}, {"$inc": {"followers": 1}}) for _ in range(50)))
    seen = await users.get(ann.id)
    assert seen
    assert seen.follower_count == 49


async def test_a_deleted_account_is_absent_from_every_answer_and_takes_no_more_writes(mongo: Mongo) -> None:
    users, now = Users(mongo), datetime.now(UTC)
    ann = (await add(users, "ann")).user.id
    assert await users.delete(ann, "a hash", now)
    assert await users.get(ann) is None
    assert await users.by_username("ann") is None
    assert await users.account(ann) is None
    for login in ("ann", "ann@perch.example"):
        assert await users.account_by_login(login) is None
    assert not await users.set_password(ann, "another")
    assert await users.update_profile(ann, "Ann", None) is None
    doc = await mongo.users.find_one({"_id": ann}) or {}
    assert {"username", "display_name", "bio", "email", "email_key", "password"}.isdisjoint(doc)
    with pytest.raises(DomainError) as caught:
        await add(users, "ANN")
    assert caught.value.code is ErrorCode.USERNAME_TAKEN
    assert (await add(users, "other", "ann@perch.example")).email == "ann@perch.example"


async def test_a_password_is_replaced_only_where_the_proven_one_still_stands(mongo: Mongo) -> None:
    users = Users(mongo)
    ann = (await add(users, "ann")).user.id
    outcomes = await asyncio.gather(*(users.set_password(ann, f"{n}", instead_of="a hash") for n in range(10)))
    assert outcomes.count(True) == 1
    account = await users.account(ann)
    assert account
    assert account.password_hash == str(outcomes.index(True))

"""Logging in: by name or address, and the same answer after the same work for whatever is wrong."""

import asyncio
import secrets
from threading import current_thread
from typing import Any, Literal

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from datastore.users import new_doc
from resolvers import credentials
from schema import globalid
from tests.perch import Answer, Perch, Person

LOG_IN = """mutation ($input: LogInInput!) { logIn(input: $input) {
  tokens { accessToken refreshToken } viewer { email user { id } } errors { code path message } } }"""
WRONG = {
    "tokens": None,
    "viewer": None,
    "errors": [{"code": "WRONG_CREDENTIALS", "path": None, "message": "The name or the password is wrong."}],
}


async def log_in(perch: Perch, who: str, password: str) -> Answer:
    return await perch.ask(LOG_IN, input={"usernameOrEmail": who, "password": password})


async def payload(perch: Perch, who: str, password: str) -> dict[str, Any]:
    answer = await log_in(perch, who, password)
    assert not answer.errors, answer.errors
    found: dict[str, Any] = answer.data["logIn"]
    return found


@pytest.fixture
async def ann(perch: Perch) -> Person:
    return await perch.person()


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes that passwords were checked against."""
    seen: list[str] = []
    verify = credentials._verify

    def counted(kept: str, password: str) -> bool:
        seen.append(kept)
        return verify(kept, password)

    monkeypatch.setattr(credentials, "_verify", counted)
    return seen


async def test_one_logs_in_by_name_or_address_whatever_the_case(perch: Perch, ann: Person) -> None:
    address = f"{ann.username}@perch.example"
    for who in (ann.username, ann.username.upper(), address, address.upper()):
        found = await payload(perch, who, ann.password)
        assert found["errors"] == []
        assert found["viewer"] == {"email": address, "user": {"id": ann.id}}
        assert (await perch.ask("{ viewer { user { id } } }", found["tokens"]["accessToken"])).data["viewer"]


async def test_whatever_is_wrong_the_answer_is_the_same(perch: Perch, ann: Person) -> None:
    imported = new_doc(f"i{secrets.token_hex(6)}", "Imported", 1_780_000_000_000)
    await perch.mongo.users.insert_one(imported)
    attempts = [
        (ann.username, "wrong horse 7"),
        (ann.username, ann.password.upper()),
        (ann.username, f" {ann.password}"),
        (ann.username, ""),
        (ann.username, "x1y" * 10_000),
        (f"{ann.username}@perch.example", "wrong horse 7"),
        ("nobody_at_all", ann.password),
        ("nobody@perch.example", ann.password),
        (imported["username"], ""),
        (imported["username"], ann.password),
        ("", ""),
        ("no such name!\u0000", ann.password),
        ("x" * 10_000, ann.password),
        ('{"$gt": ""}', ann.password),
    ]
    for who, password in attempts:
        answer = await log_in(perch, who, password)
        assert (answer.status, answer.errors, answer.data) == (200, [], {"logIn": WRONG}), (who[:30], password[:30])


async def test_an_unknown_name_costs_the_same_work_as_a_wrong_password(
    perch: Perch, ann: Person, checks: list[str]
) -> None:
    for who in (ann.username, "nobody_at_all", "nobody@perch.example"):
        assert await payload(perch, who, "wrong horse 7") == WRONG
    assert len(checks) == 3
    parameters = {"$".join(kept.split("$")[:4]) for kept in checks}
    assert parameters == {"$argon2id$v=19$m=19456,t=2,p=1"}
    for kept in checks:
        # What is no hash is refused sooner, with another error.
        with pytest.raises(VerifyMismatchError):
            PasswordHasher().verify(kept, "wrong horse 7")


async def test_a_password_that_nobody_can_have_is_not_hashed(perch: Perch, ann: Person, checks: list[str]) -> None:
    for who in (ann.username, "nobody_at_all"):
        assert await payload(perch, who, "x1y" * 20_000) == WRONG
    assert checks == []
    answer = await perch.http.post(
        "/graphql",
        json={"query": LOG_IN, "variables": {"input": {"usernameOrEmail": ann.username, "password": "x" * 1_000_000}}},
    )
    assert answer.status_code == 413
    assert checks == []


async def test_a_weaker_hash_is_renewed_at_log_in(perch: Perch, ann: Person) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(ann.password)
    user_id = globalid.of_type(ann.id, "User")
    await perch.mongo.users.update_one({"_id": user_id}, {"$set": {"password": weak}})
    assert await payload(perch, ann.username, "wrong horse 7") == WRONG
    for _ in range(2):
        assert (await payload(perch, ann.username, ann.password))["errors"] == []
        doc = await perch.mongo.users.find_one({"_id": user_id})
        assert doc
        assert doc["password"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_broken_hash_lets_nobody_in(perch: Perch, ann: Person) -> None:
    user_id = globalid.of_type(ann.id, "User")
    await perch.mongo.users.update_one({"_id": user_id}, {"$set": {"password": "not a hash"}})
    assert await payload(perch, ann.username, ann.password) == WRONG


@pytest.mark.parametrize("typed", ["jose\u0301.{}@perch.example", " {}@perch.example", "{}@perch.example\n"])
async def test_an_address_typed_as_it_was_at_sign_up_logs_in(perch: Perch, typed: str) -> None:
    name = f"l{secrets.token_hex(6)}"
    given = {"username": name, "email": typed.format(name), "password": "correct horse 7"}
    query = "mutation ($input: SignUpInput!) { signUp(input: $input) { errors { code } } }"
    assert (await perch.ask(query, input=given)).data == {"signUp": {"errors": []}}
    assert (await payload(perch, given["email"], given["password"]))["errors"] == []


async def test_each_log_in_is_a_session_of_its_own(perch: Perch, ann: Person) -> None:
    tokens = [(await payload(perch, ann.username, ann.password))["tokens"] for _ in range(3)]
    assert len({one["refreshToken"].partition(".")[0] for one in tokens}) == 3
    user_id = globalid.of_type(ann.id, "User")
    assert await perch.mongo.sessions.count_documents({"user": user_id}) == 4


async def test_a_session_remembers_the_device(perch: Perch, ann: Person) -> None:
    body = {"query": LOG_IN, "variables": {"input": {"usernameOrEmail": ann.username, "password": ann.password}}}
    answer = await perch.http.post("/graphql", json=body, headers={"user-agent": "x" * 5000})
    session_id = answer.json()["data"]["logIn"]["tokens"]["refreshToken"].partition(".")[0]
    session = await perch.mongo.sessions.find_one({"_id": int(session_id)})
    assert session
    assert session["agent"] == "x" * 200


async def test_argon2_works_in_two_threads_of_its_own_and_never_on_the_loop(
    perch: Perch, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    class Watched(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            names.append(current_thread().name)
            return super().hash(password, salt=salt)

        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            names.append(current_thread().name)
            return super().verify(hash, password)

    monkeypatch.setattr(credentials, "_HASHER", Watched(time_cost=1, memory_cost=8, parallelism=1))
    ann = await perch.person()
    answers = await asyncio.gather(
        *(log_in(perch, who, password) for who in (ann.username, "nobody") for password in (ann.password, "wrong one"))
    )
    assert [bool(answer.data["logIn"]["tokens"]) for answer in answers] == [True, False, False, False]
    # One sign-up and four log-ins; the one that fits a weaker hash is hashed anew.
    assert len(names) >= 5
    assert {name.partition("_")[0] for name in names} == {"argon2"}
    assert len({*names}) <= 2

"""Signing up: each refusal names its field, names and addresses are unique, and an address stays its owner's."""

import asyncio
import secrets
from typing import Any

import pytest

from datastore.mongo import Doc
from schema import globalid
from tests.perch import Perch, Person

SIGN_UP = """mutation ($input: SignUpInput!) { signUp(input: $input) {
  tokens { accessToken accessTokenExpiresAt refreshToken }
  viewer { email user { username displayName bio followerCount tweetCount isTopUser viewerIsFollowing } }
  errors { code path message __typename ... on TextTooLong { length limit } } } }"""


def fresh(**more: Any) -> dict[str, Any]:
    """The input of somebody whom nobody knows."""
    name = f"s{secrets.token_hex(6)}"
    return {"username": name, "email": f"{name}@perch.example", "password": "correct horse 7"} | more


async def sign_up(perch: Perch, **given: Any) -> dict[str, Any]:
    answer = await perch.ask(SIGN_UP, input=given)
    assert not answer.errors, answer.errors
    payload: dict[str, Any] = answer.data["signUp"]
    return payload


async def refusal(perch: Perch, **given: Any) -> tuple[str, list[str]]:
    """(code, path) of the only refusal; nothing else may come back."""
    payload = await sign_up(perch, **given)
    assert (payload["tokens"], payload["viewer"], len(payload["errors"])) == (None, None, 1), payload
    return payload["errors"][0]["code"], payload["errors"][0]["path"]


async def kept(perch: Perch, username: str) -> Doc:
    doc: Doc | None = await perch.mongo.users.find_one({"name_key": username.lower()})
    assert doc
    return doc


async def test_a_new_account_is_logged_in_and_empty(perch: Perch) -> None:
    given = fresh(displayName="  Zoe\u0308 ")
    payload = await sign_up(perch, **given)
    assert payload["errors"] == []
    assert payload["viewer"] == {
        "email": given["email"],
        "user": {
            "username": given["username"],
            "displayName": "Zo\u00eb",
            "bio": "",
            "followerCount": 0,
            "tweetCount": 0,
            "isTopUser": False,
            "viewerIsFollowing": False,
        },
    }
    answer = await perch.ask("{ viewer { user { username } } }", payload["tokens"]["accessToken"])
    assert answer.data == {"viewer": {"user": {"username": given["username"]}}}


@pytest.mark.parametrize("absent", [{}, {"displayName": None}])
async def test_the_display_name_is_the_username_if_absent(perch: Perch, absent: dict[str, None]) -> None:
    given = fresh()
    payload = await sign_up(perch, **given, **absent)
    assert payload["viewer"]["user"]["displayName"] == given["username"]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("username", "", "USERNAME_INVALID"),
        ("username", "x" * 16, "USERNAME_INVALID"),
        ("username", "no spaces", "USERNAME_INVALID"),
        ("username", "n\u00f6", "USERNAME_INVALID"),
        ("username", "ann\n", "USERNAME_INVALID"),
        ("email", "", "EMAIL_INVALID"),
        ("email", "ann", "EMAIL_INVALID"),
        ("email", "ann@perch", "EMAIL_INVALID"),
        ("email", "ann@perch.example\nBcc: all@perch.example", "EMAIL_INVALID"),
        ("password", "", "PASSWORD_TOO_WEAK"),
        ("password", "seven 7", "PASSWORD_TOO_WEAK"),
        ("password", "aaaaaaaaaaaa", "PASSWORD_TOO_WEAK"),
        ("password", "x1 " * 43, "PASSWORD_TOO_WEAK"),
        ("password", "x1 " * 20_000, "PASSWORD_TOO_WEAK"),
        ("displayName", "", "TEXT_EMPTY"),
        ("displayName", " \u200b ", "TEXT_EMPTY"),
        ("displayName", "two\nlines", "TEXT_FORBIDDEN_CHARACTERS"),
        ("displayName", "\u202eevil", "TEXT_FORBIDDEN_CHARACTERS"),
        ("displayName", "x" * 51, "TEXT_TOO_LONG"),
    ],
)
async def test_a_refusal_names_its_field_and_opens_no_account(perch: Perch, field: str, value: str, code: str) -> None:
    given = fresh(**{field: value})
    assert await refusal(perch, **given) == (code, ["input", field])
    assert await perch.mongo.users.find_one({"email": given["email"]}) is None


async def test_a_display_name_that_is_too_long_tells_its_length_and_the_limit(perch: Perch) -> None:
    (error,) = (await sign_up(perch, **fresh(displayName="e\u0301" * 51)))["errors"]
    assert (error["__typename"], error["length"], error["limit"]) == ("TextTooLong", 51, 50)


async def test_the_username_is_no_password(perch: Perch) -> None:
    given = fresh()
    assert (await refusal(perch, **given | {"password": given["username"].upper()}))[0] == "PASSWORD_TOO_WEAK"


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase])
async def test_names_and_addresses_are_taken_whatever_their_case(perch: Perch, change: Any) -> None:
    given = fresh()
    await sign_up(perch, **given)
    assert await refusal(perch, **fresh(username=change(given["username"]))) == (
        "USERNAME_TAKEN",
        ["input", "username"],
    )
    assert await refusal(perch, **fresh(email=change(given["email"]))) == ("EMAIL_TAKEN", ["input", "email"])
    assert (await kept(perch, given["username"]))["email"] == given["email"]


async def test_of_8_who_want_one_name_at_once_one_gets_it(perch: Perch) -> None:
    name = f"s{secrets.token_hex(6)}"
    payloads = await asyncio.gather(*(sign_up(perch, **fresh(username=name)) for _ in range(8)))
    assert sum(payload["tokens"] is not None for payload in payloads) == 1
    assert sum(payload["errors"] != [] for payload in payloads) == 7


async def test_a_password_of_128_characters_is_kept_as_an_argon2id_hash_of_19_mib(perch: Perch) -> None:
    given = fresh(password="p\u00e4ssw\u00f6rd " * 12 + "x1y2z3" * 3 + "78")
    assert len(given["password"]) == 128
    await sign_up(perch, **given)
    doc = await kept(perch, given["username"])
    assert doc["password"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert given["password"] not in str(doc)


async def test_tokens_are_kept_nowhere(perch: Perch) -> None:
    tokens = (await sign_up(perch, **fresh()))["tokens"]
    session_id, _, secret = tokens["refreshToken"].partition(".")
    session = await perch.mongo.sessions.find_one({"_id": int(session_id)})
    assert session
    assert len(session["refresh"]) == 32
    assert len(secret) >= 43
    assert secret not in str(session)
    assert tokens["accessToken"] not in str(session)


# ---------------------------------------------------------------- an address is its owner's

EVERYTHING = """query ($name: String!, $id: ID!, $tweet: ID!) {
  viewer { email }
  user(username: $name) { ...U tweets { nodes { ...T } } followers { nodes { ...U } } following { nodes { ...U } } }
  node(id: $id) { __typename id ... on User { ...U } }
  tweet(id: $tweet) { ...T inReplyTo { ...T } likers { nodes { ...U } } }
  homeTimeline { nodes { ...T } }
}
fragment U on User { id username displayName bio createdAt followerCount followingCount tweetCount }
fragment T on Tweet { id text author { ...U } }"""


@pytest.fixture
async def pair(perch: Perch) -> tuple[Person, Person]:
    """Two people who follow each other."""
    ann, bob = await perch.persons(2)
    await ann.follow(bob)
    await bob.follow(ann)
    return ann, bob


async def test_nobody_sees_the_address_of_another(perch: Perch, pair: tuple[Person, Person]) -> None:
    ann, bob = pair
    tweet = await ann.post("hello")
    await ann.like(tweet["id"])
    variables = {"name": ann.username, "id": ann.id, "tweet": tweet["id"]}
    assert f"{ann.username}@perch.example" in str(await ann.do(EVERYTHING, **variables))
    seen = str(await bob.do(EVERYTHING, **variables))
    assert f"{ann.username}@perch.example" not in seen
    assert f"{bob.username}@perch.example" in seen
    by_address = await bob.do(
        "query ($name: String!) { user(username: $name) { id } }", name=f"{ann.username}@perch.example"
    )
    assert by_address == {"user": None}


async def test_the_viewer_in_a_payload_is_who_acted(pair: tuple[Person, Person]) -> None:
    ann, bob = pair
    query = """mutation ($input: UserInput!) { followUser(input: $input) {
      user { username followerCount } viewer { email user { username followingCount } } } }"""
    payload = (await bob.do(query, input={"userId": ann.id}))["followUser"]
    assert payload["user"] == {"username": ann.username, "followerCount": 1}
    assert payload["viewer"] == {
        "email": f"{bob.username}@perch.example",
        "user": {"username": bob.username, "followingCount": 1},
    }


async def test_only_a_viewer_has_an_address_and_only_who_acts_is_a_viewer(perch: Perch) -> None:
    query = "{ __schema { types { name fields { name type { name ofType { name } } } } } }"
    types = (await perch.ask(query)).data["__schema"]["types"]
    fields = [(type_["name"], field) for type_ in types for field in type_["fields"] or []]
    assert [owner for owner, field in fields if field["name"] == "email"] == ["Viewer"]
    named = [
        owner
        for owner, field in fields
        if "Viewer" in (field["type"]["name"], (field["type"]["ofType"] or {}).get("name"))
    ]
    assert set(named) == {"Query", "SignUpPayload", "LogInPayload", "UserPayload", "RevokeSessionPayload"}


async def test_a_viewer_without_an_address_has_an_empty_one(perch: Perch) -> None:
    ann = await perch.person()
    await perch.mongo.users.update_one(
        {"_id": globalid.of_type(ann.id, "User")}, {"$unset": {"email": "", "email_key": "", "password": ""}}
    )
    assert await ann.do("{ viewer { email } }") == {"viewer": {"email": ""}}

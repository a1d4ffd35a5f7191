"""Accounts: the profile, the password and the sessions are their owner's to change, and a change acts at once."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from tests.perch import PASSWORD, Answer, Perch, Person

PROFILE = """mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) {
  user { displayName bio } errors { code path ... on TextTooLong { length limit } } } }"""
CHANGE = """mutation ($input: ChangePasswordInput!) { changePassword(input: $input) {
  tokens { accessToken refreshToken } errors { code path } } }"""
SESSIONS = "{ viewer { sessions { id createdAt lastUsedAt isCurrent userAgent } } }"
REVOKE = """mutation ($id: ID!) { revokeSession(input: {sessionId: $id}) {
  viewer { sessions { id } } errors { code path } } }"""
REFRESH = """mutation ($spent: String!) { refreshSession(input: {refreshToken: $spent}) {
  tokens { accessToken refreshToken } errors { code } } }"""
LOG_IN = """mutation ($input: LogInInput!) { logIn(input: $input) {
  tokens { accessToken refreshToken } errors { code } } }"""
LOG_OUT = "mutation ($input: LogOutInput!) { logOut(input: $input) { errors { code } } }"
NEW_PASSWORD = "battery staple 9"


async def log_in(perch: Perch, person: Person, password: str | None = None, agent: str = "") -> dict[str, Any]:
    """The tokens of another log-in, or its errors."""
    given = {"usernameOrEmail": person.username, "password": password or person.password}
    response = await perch.http.post(
        "/graphql", json={"query": LOG_IN, "variables": {"input": given}}, headers={"user-agent": agent}
    )
    payload = response.json()["data"]["logIn"]
    return payload["tokens"] or {"errors": payload["errors"]}


async def refresh(perch: Perch, token: str) -> dict[str, Any] | None:
    """Fresh tokens, None if the session has expired."""
    payload = (await perch.ask(REFRESH, spent=token)).data["refreshSession"]
    assert payload["errors"] == [] or payload["errors"] == [{"code": "SESSION_EXPIRED"}]
    tokens: dict[str, Any] | None = payload["tokens"]
    return tokens


async def works(perch: Perch, access_token: str) -> bool:
    """Whether the token still speaks for somebody."""
    return (await perch.ask("{ viewer { email } }", access_token)).codes != ["UNAUTHENTICATED"]


async def update(person: Person, **given: str | None) -> dict[str, Any]:
    payload: dict[str, Any] = (await person.do(PROFILE, input=given))["updateProfile"]
    return payload


# ---------------------------------------------------------------- profile


async def test_a_profile_changes_for_everybody_at_once_and_what_is_absent_or_null_stays(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    changed = await update(ann, displayName="  Ann Z\u00fcrich ", bio="Hello,\nI am Ann.")
    assert changed == {"user": {"displayName": "Ann Z\u00fcrich", "bio": "Hello,\nI am Ann."}, "errors": []}
    query = "query ($name: String!) { user(username: $name) { displayName bio } }"
    assert (await bob.do(query, name=ann.username))["user"] == changed["user"]
    assert (await update(ann, bio="Gone fishing."))["user"] == {
        "displayName": "Ann Z\u00fcrich",
        "bio": "Gone fishing.",
    }
    assert (await update(ann, displayName="Ann"))["user"] == {"displayName": "Ann", "bio": "Gone fishing."}
    for given in ({}, {"displayName": None}, {"bio": None}, {"displayName": None, "bio": None}):
        assert (await update(ann, **given))["user"] == {"displayName": "Ann", "bio": "Gone fishing."}
    assert (await update(ann, bio=""))["user"] == {"displayName": "Ann", "bio": ""}


async def test_a_refused_profile_changes_nothing(perch: Perch) -> None:
    ann = await perch.person()
    await update(ann, displayName="Ann", bio="b" * 160)
    long: dict[str, Any] = {"code": "TEXT_TOO_LONG", "path": ["input", "bio"], "length": 161, "limit": 160}
    for given, error in (
        ({"displayName": "Eve", "bio": "b" * 161}, long),
        ({"bio": "other", "displayName": " \u200b"}, {"code": "TEXT_EMPTY", "path": ["input", "displayName"]}),
        ({"bio": "\u202eolleh"}, {"code": "TEXT_FORBIDDEN_CHARACTERS", "path": ["input", "bio"]}),
        ({"displayName": "two\nlines"}, {"code": "TEXT_FORBIDDEN_CHARACTERS", "path": ["input", "displayName"]}),
    ):
        assert await update(ann, **given) == {"user": None, "errors": [error]}
    assert (await update(ann))["user"] == {"displayName": "Ann", "bio": "b" * 160}


async def test_a_bio_is_counted_in_code_points_after_nfc(perch: Perch) -> None:
    ann = await perch.person()
    assert (await update(ann, bio="e\u0301" * 160))["user"] == {"displayName": ann.username, "bio": "\u00e9" * 160}
    assert (await update(ann, bio="\U0001f426" * 160))["errors"] == []


@pytest.mark.parametrize("verb", [PROFILE, CHANGE])
async def test_nobody_has_no_account_to_change(perch: Perch, verb: str) -> None:
    given = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD} if verb == CHANGE else {"bio": "x"}
    assert (await perch.ask(verb, input=given)).codes == ["UNAUTHENTICATED"]


# ---------------------------------------------------------------- password


async def change(person: Person, current: str, new: str) -> dict[str, Any]:
    payload: dict[str, Any] = (await person.do(CHANGE, input={"currentPassword": current, "newPassword": new}))[
        "changePassword"
    ]
    return payload


async def test_a_new_password_ends_all_other_sessions_and_this_one_goes_on_with_new_tokens(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    others = [await log_in(perch, ann) for _ in range(3)]
    payload = await change(ann, PASSWORD, NEW_PASSWORD)
    assert payload["errors"] == []
    fresh = payload["tokens"]
    assert await works(perch, fresh["accessToken"])
    assert await works(perch, bob.token)
    for other in others:
        assert not await works(perch, other["accessToken"])
        assert await refresh(perch, other["refreshToken"]) is None
    assert await refresh(perch, fresh["refreshToken"]) is not None
    assert await log_in(perch, ann) == {"errors": [{"code": "WRONG_CREDENTIALS"}]}
    assert "accessToken" in await log_in(perch, ann, NEW_PASSWORD)


async def test_the_refresh_token_from_before_a_password_change_is_spent_and_its_replay_ends_the_session(
    perch: Perch,
) -> None:
    ann = await perch.person()
    fresh = (await change(ann, PASSWORD, NEW_PASSWORD))["tokens"]
    assert await refresh(perch, ann.refresh_token) is None
    assert await refresh(perch, fresh["refreshToken"]) is None
    assert not await works(perch, fresh["accessToken"])


async def test_a_refused_password_change_changes_nothing(perch: Perch) -> None:
    ann = await perch.person()
    other = await log_in(perch, ann)
    wrong = [{"code": "WRONG_CREDENTIALS", "path": ["input", "currentPassword"]}]
    weak = [{"code": "PASSWORD_TOO_WEAK", "path": ["input", "newPassword"]}]
    for current in ("", "x", PASSWORD.upper(), "p" * 10_000):
        assert await change(ann, current, NEW_PASSWORD) == {"tokens": None, "errors": wrong}
    for new in ("short 7", "aaaaaaaaaa", "p" * 129, f"{ann.username}"):
        assert await change(ann, PASSWORD, new) == {"tokens": None, "errors": weak}
    assert await works(perch, other["accessToken"])
    assert await refresh(perch, ann.refresh_token) is not None
    assert "accessToken" in await log_in(perch, ann)


async def test_of_a_password_change_and_log_ins_with_the_old_one_at_once_no_old_session_is_left(perch: Perch) -> None:
    ann = await perch.person()
    changing = asyncio.create_task(change(ann, PASSWORD, NEW_PASSWORD))
    opened = await asyncio.gather(*(log_in(perch, ann) for _ in range(6)))
    fresh = (await changing)["tokens"]
    for tokens in opened:
        assert "errors" in tokens or not await works(perch, tokens["accessToken"])
    sessions = (await perch.ask(SESSIONS, fresh["accessToken"])).data["viewer"]["sessions"]
    assert [session["isCurrent"] for session in sessions] == [True]


async def test_of_two_password_changes_at_once_one_wins(perch: Perch) -> None:
    ann = await perch.person()
    answers = await asyncio.gather(*(change(ann, PASSWORD, f"{NEW_PASSWORD} {number}") for number in range(2)))
    assert [answer["errors"] == [] for answer in answers].count(True) == 1


# ---------------------------------------------------------------- sessions


async def sessions(person: Person) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await person.do(SESSIONS))["viewer"]["sessions"]
    return found


async def test_a_viewer_sees_their_sessions_newest_first_and_which_one_is_this(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    for agent in ("a phone", "a laptop"):
        await log_in(perch, ann, agent=agent)
    found = await sessions(ann)
    assert [session["userAgent"] for session in found][:2] == ["a laptop", "a phone"]
    assert [session["isCurrent"] for session in found] == [False, False, True]
    made = [datetime.fromisoformat(session["createdAt"]) for session in found]
    assert made == sorted(made, reverse=True)
    assert len(await sessions(bob)) == 1


async def test_a_refresh_is_a_use_of_the_session(perch: Perch) -> None:
    ann = await perch.person()
    (before,) = await sessions(ann)
    await refresh(perch, ann.refresh_token)
    (after,) = await sessions(ann)
    assert after["lastUsedAt"] > before["lastUsedAt"]
    assert (after["id"], after["createdAt"]) == (before["id"], before["createdAt"])


async def revoke(person: Person, session_id: str) -> Answer:
    return await person.ask(REVOKE, id=session_id)


async def test_a_revoked_session_is_refused_at_once_and_the_others_go_on(perch: Perch) -> None:
    ann = await perch.person()
    other = await log_in(perch, ann)
    theirs, mine = await sessions(ann)
    payload = (await revoke(ann, theirs["id"])).data["revokeSession"]
    assert payload == {"viewer": {"sessions": [{"id": mine["id"]}]}, "errors": []}
    assert not await works(perch, other["accessToken"])
    assert await refresh(perch, other["refreshToken"]) is None
    assert await works(perch, ann.token)


async def test_one_may_revoke_the_session_one_uses(perch: Perch) -> None:
    ann = await perch.person()
    (mine,) = await sessions(ann)
    assert (await revoke(ann, mine["id"])).data["revokeSession"]["errors"] == []
    assert not await works(perch, ann.token)


async def test_anothers_session_is_not_found_just_like_none(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    (theirs,) = await sessions(bob)
    other = await log_in(perch, ann)
    gone = (await sessions(ann))[0]["id"]
    await revoke(ann, gone)
    answers = [(await revoke(ann, session_id)).data["revokeSession"] for session_id in (theirs["id"], gone)]
    assert answers[0] == answers[1]
    assert answers[0]["errors"] == [{"code": "NOT_FOUND", "path": ["input", "sessionId"]}]
    assert await works(perch, bob.token)
    assert not await works(perch, other["accessToken"])


async def test_what_is_no_session_id_is_bad_input(perch: Perch) -> None:
    ann = await perch.person()
    for junk in ("", "x", ann.id):
        assert (await revoke(ann, junk)).codes == ["BAD_USER_INPUT"]


# ---------------------------------------------------------------- sockets


async def ended(perch: Perch, token: str, end: Any) -> int:
    """The close code of a socket of this token's, once `end` has ended its session; within a second."""
    async with perch.socket() as socket:
        await socket.init({"authorization": f"Bearer {token}"})
        await end
        return await asyncio.wait_for(socket.closed(), 1)


async def test_a_log_out_closes_the_sockets_of_the_session_within_a_second(perch: Perch) -> None:
    ann = await perch.person()
    async with ann.live() as live:
        assert await ended(perch, ann.token, ann.do(LOG_OUT, input={})) == 4403
        assert await live.socket.closed() == 4403


async def test_a_revoked_session_closes_its_sockets_and_no_others(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    other = await log_in(perch, ann)
    theirs, _ = await sessions(ann)
    async with perch.socket() as nobody, ann.live((await ann.home())["liveCursor"]) as mine:
        await nobody.init()
        assert await ended(perch, other["accessToken"], revoke(ann, theirs["id"])) == 4403
        await ann.post("still here")
        assert await mine.added() == "still here"
        await nobody.send({"type": "ping"})
        assert (await nobody.receive())["type"] == "pong"
    assert await works(perch, bob.token)


async def test_a_new_password_closes_the_sockets_of_all_other_sessions(perch: Perch) -> None:
    ann = await perch.person()
    other = await log_in(perch, ann)
    async with ann.live((await ann.home())["liveCursor"]) as mine:
        assert await ended(perch, other["accessToken"], change(ann, PASSWORD, NEW_PASSWORD)) == 4403
        await ann.post("still here")
        assert await mine.added() == "still here"


async def test_a_replayed_refresh_token_closes_the_sockets_of_its_session(perch: Perch) -> None:
    ann = await perch.person()
    await refresh(perch, ann.refresh_token)
    assert await ended(perch, ann.token, refresh(perch, ann.refresh_token)) == 4403

"""Sessions from outside: refresh tokens rotate, a replay ends the session, and what has ended is refused at once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schema import globalid
from tests.perch import Perch, Person

REFRESH = """mutation ($spent: String!) { refreshSession(input: {refreshToken: $spent}) {
  tokens { accessToken accessTokenExpiresAt refreshToken } errors { code path } } }"""
LOG_OUT = "mutation ($input: LogOutInput!) { logOut(input: $input) { errors { code } } }"
LOG_IN = """mutation ($input: LogInInput!) { logIn(input: $input) { tokens { accessToken refreshToken } } }"""
EXPIRED = {"tokens": None, "errors": [{"code": "SESSION_EXPIRED", "path": ["input", "refreshToken"]}]}


async def refresh(perch: Perch, token: str) -> dict[str, Any]:
    answer = await perch.ask(REFRESH, spent=token)
    assert not answer.errors, answer.errors
    payload: dict[str, Any] = answer.data["refreshSession"]
    return payload


async def works(perch: Perch, access_token: str) -> bool:
    """Whether the access token still speaks for somebody; if not, nothing is answered at all."""
    answer = await perch.ask("{ __typename viewer { user { id } } }", access_token)
    if answer.errors:
        assert (answer.codes, answer.data) == (["UNAUTHENTICATED"], None)
        return False
    return answer.data["viewer"] is not None


@pytest.fixture
async def ann(perch: Perch) -> Person:
    return await perch.person()


async def again(ann: Person) -> dict[str, str]:
    """The tokens of another log-in."""
    data = await ann.do(LOG_IN, input={"usernameOrEmail": ann.username, "password": ann.password})
    tokens: dict[str, str] = data["logIn"]["tokens"]
    return tokens


async def test_a_refresh_gives_fresh_tokens_and_the_session_goes_on(perch: Perch, ann: Person) -> None:
    token = ann.refresh_token
    for _ in range(3):
        payload = await refresh(perch, token)
        assert payload["errors"] == []
        assert payload["tokens"]["refreshToken"] != token
        assert payload["tokens"]["refreshToken"].partition(".")[0] == token.partition(".")[0]
        assert await works(perch, payload["tokens"]["accessToken"])
        token = payload["tokens"]["refreshToken"]
    assert await works(perch, ann.token)


async def test_an_access_token_tells_when_it_expires(perch: Perch, ann: Person) -> None:
    tokens = (await refresh(perch, ann.refresh_token))["tokens"]
    left = datetime.fromisoformat(tokens["accessTokenExpiresAt"]) - datetime.now(UTC)
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)


async def test_a_replayed_refresh_token_ends_the_session_of_thief_and_owner(perch: Perch, ann: Person) -> None:
    other = await again(ann)
    stolen = ann.refresh_token
    tokens = (await refresh(perch, stolen))["tokens"]
    assert await refresh(perch, stolen) == EXPIRED
    assert await refresh(perch, tokens["refreshToken"]) == EXPIRED
    assert not await works(perch, tokens["accessToken"])
    assert not await works(perch, ann.token)
    assert await works(perch, other["accessToken"])


async def test_of_10_refreshes_with_one_token_at_once_one_wins(perch: Perch, ann: Person) -> None:
    payloads = await asyncio.gather(*(refresh(perch, ann.refresh_token) for _ in range(10)))
    assert sum(payload["tokens"] is not None for payload in payloads) == 1
    assert payloads.count(EXPIRED) == 9


async def test_what_is_no_refresh_token_is_expired(perch: Perch, ann: Person) -> None:
    session, _, secret = ann.refresh_token.partition(".")
    junk = ["", ".", "x", session, f"{session}.", f".{secret}", f"{session}.{secret}x", f"{session}.{secret[:-1]}"]
    junk += [f"1{session}.{secret}", f"-{session}.{secret}", f"{'9' * 50}.{secret}", f"\u0663.{secret}"]
    junk += [ann.token, f"{session}.\u00e9", "x" * 20_000, f" {ann.refresh_token}", f"{session}.{secret}\u0000"]
    for token in junk:
        assert await refresh(perch, token) == EXPIRED, token[:60]
    assert (await refresh(perch, ann.refresh_token))["errors"] == []


async def test_a_session_that_expired_is_over_for_both_tokens(perch: Perch, ann: Person) -> None:
    session_id = int(ann.refresh_token.partition(".")[0])
    past = datetime.now(UTC) - timedelta(seconds=1)
    await perch.mongo.sessions.update_one({"_id": session_id}, {"$set": {"expires": past}})
    assert not await works(perch, ann.token)
    assert await refresh(perch, ann.refresh_token) == EXPIRED


@pytest.mark.parametrize("given", [{}, {"everywhere": False}, {"everywhere": None}])
async def test_a_log_out_ends_this_session_at_once_and_no_other(
    perch: Perch, ann: Person, given: dict[str, bool | None]
) -> None:
    other = await again(ann)
    assert await ann.do(LOG_OUT, input=given) == {"logOut": {"errors": []}}
    assert not await works(perch, ann.token)
    assert await refresh(perch, ann.refresh_token) == EXPIRED
    assert await works(perch, other["accessToken"])
    assert (await refresh(perch, other["refreshToken"]))["errors"] == []


async def test_a_log_out_everywhere_ends_all_sessions_of_the_account(perch: Perch, ann: Person) -> None:
    bob, other = await perch.person(), await again(ann)
    await ann.do(LOG_OUT, input={"everywhere": True})
    for access_token, refresh_token in ((ann.token, ann.refresh_token), (other["accessToken"], other["refreshToken"])):
        assert not await works(perch, access_token)
        assert await refresh(perch, refresh_token) == EXPIRED
    assert await works(perch, bob.token)
    assert await works(perch, (await again_without_token(perch, ann))["accessToken"])


async def again_without_token(perch: Perch, ann: Person) -> dict[str, str]:
    answer = await perch.ask(LOG_IN, input={"usernameOrEmail": ann.username, "password": ann.password})
    tokens: dict[str, str] = answer.data["logIn"]["tokens"]
    return tokens


async def test_the_last_log_out_of_a_session_is_refused(ann: Person) -> None:
    await ann.do(LOG_OUT, input={})
    assert (await ann.ask(LOG_OUT, input={})).codes == ["UNAUTHENTICATED"]


async def test_an_account_that_is_gone_is_nobody(perch: Perch, ann: Person) -> None:
    await perch.mongo.users.delete_one({"_id": globalid.of_type(ann.id, "User")})
    answer = await ann.ask("{ viewer { email } }")
    assert answer.codes == ["UNAUTHENTICATED"]

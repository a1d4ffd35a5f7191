"""Access tokens: only what Perch signed, for this purpose and not too long ago, speaks for anybody."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from schema import globalid
from tests.perch import Perch, Person, serving


@pytest.fixture
async def ann(perch: Perch) -> Person:
    return await perch.person()


def key(perch: Perch) -> str:
    return perch.settings.secret_key.get_secret_value()


def claims(ann: Person, **changed: Any) -> dict[str, Any]:
    """The claims of a good token, but for what is changed; None leaves a claim out."""
    now = datetime.now(UTC)
    good = {
        "sub": str(globalid.of_type(ann.id, "User")),
        "sid": ann.refresh_token.partition(".")[0],
        "iat": now,
        "exp": now + timedelta(minutes=5),
        "iss": "perch",
        "aud": "perch",
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


async def refused(perch: Perch, authorization: str) -> bool:
    """Whether nothing at all is answered, not even what needs nobody."""
    query = {"query": "{ __typename viewer { email } }"}
    response = await perch.http.post("/graphql", json=query, headers={"authorization": authorization})
    body = response.json()
    if "errors" not in body:
        return False
    assert response.status_code == 200
    assert body["data"] is None
    assert [error["extensions"]["code"] for error in body["errors"]] == ["UNAUTHENTICATED"]
    return True


async def test_the_token_that_this_file_makes_is_good_unless_something_is_changed(perch: Perch, ann: Person) -> None:
    assert not await refused(perch, f"Bearer {jwt.encode(claims(ann), key(perch), 'HS256')}")


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
        {"exp": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": ["another"]},
        {"iss": "another"},
        {"iss": None},
        {"sub": None},
        {"sid": None},
        {"sub": "not a number"},
        {"sid": "not a number"},
        {"sid": "1"},
        {"sub": "1"},
        {"nbf": datetime(2070, 1, 1, tzinfo=UTC)},
    ],
    ids=str,
)
async def test_a_token_with_other_claims_is_refused(perch: Perch, ann: Person, changed: dict[str, Any]) -> None:
    assert await refused(perch, f"Bearer {jwt.encode(claims(ann, **changed), key(perch), 'HS256')}")


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
async def test_a_token_that_was_signed_otherwise_is_refused(perch: Perch, ann: Person) -> None:
    good = jwt.encode(claims(ann), key(perch), "HS256")
    head, body, signature = good.split(".")
    for token in (
        jwt.encode(claims(ann), None, "none"),
        jwt.encode(claims(ann), "another key, long enough to sign with", "HS256"),
        jwt.encode(claims(ann), key(perch), "HS384"),
        jwt.encode(claims(ann), key(perch), "HS512"),
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature[::-1]}",
        f"{jwt.encode(claims(ann), None, 'none').split('.')[0]}.{body}.{signature}",
    ):
        assert await refused(perch, f"Bearer {token}"), token


async def test_a_session_speaks_for_its_own_user_only(perch: Perch, ann: Person) -> None:
    bob = await perch.person()
    stolen = claims(ann) | {"sub": str(globalid.of_type(bob.id, "User"))}
    assert await refused(perch, f"Bearer {jwt.encode(stolen, key(perch), 'HS256')}")


@pytest.mark.parametrize("header", ["x", "Bearer", "Basic YTpi", "Bearer x", "Bearer a.b.c", "Bearer " + "x" * 9000])
async def test_what_is_no_bearer_token_is_refused(perch: Perch, header: str) -> None:
    assert await refused(perch, header)


async def test_the_scheme_is_read_in_any_case(perch: Perch, ann: Person) -> None:
    for scheme in ("bearer", "BEARER", "Bearer  "):
        assert not await refused(perch, f"{scheme} {ann.token}")


async def test_nobody_is_an_anonymous_viewer(perch: Perch) -> None:
    answer = await perch.ask("{ viewer { email } }")
    assert (answer.data, answer.errors) == ({"viewer": None}, [])


async def test_a_bad_token_stops_a_mutation_before_it_runs(perch: Perch) -> None:
    query = """mutation { logIn(input: {usernameOrEmail: "a", password: "b"}) { errors { code } } }"""
    answer = await perch.ask(query, "not a token")
    assert (answer.data, answer.codes) == (None, ["UNAUTHENTICATED"])


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        ("logOut", "{}"),
        ("logOut", "{everywhere: true}"),
        ("postTweet", '{text: "x"}'),
        ("deleteTweet", "{tweetId: $tweet}"),
        ("likeTweet", "{tweetId: $tweet}"),
        ("unlikeTweet", "{tweetId: $tweet}"),
        ("followUser", "{userId: $user}"),
        ("unfollowUser", "{userId: $user}"),
    ],
)
async def test_what_one_does_needs_somebody_who_does_it(perch: Perch, ann: Person, verb: str, given: str) -> None:
    tweet = (await ann.post("hello"))["id"]
    given = given.replace("$tweet", f'"{tweet}"').replace("$user", f'"{ann.id}"')
    answer = await perch.ask(f"mutation {{ {verb}(input: {given}) {{ errors {{ code }} }} }}")
    assert (answer.data, answer.codes) == (None, ["UNAUTHENTICATED"])
    assert (await ann.do("query ($id: ID!) { tweet(id: $id) { likeCount } }", id=tweet)) == {"tweet": {"likeCount": 0}}


async def test_a_key_that_was_replaced_is_good_for_tokens_that_are_out_and_signs_no_new_ones(
    perch: Perch, ann: Person
) -> None:
    new = SecretStr("another secret for tests, long enough to sign with")
    fresh = perch.settings.model_copy(update={"secret_key": new})
    async with serving(fresh.model_copy(update={"old_secret_keys": (perch.settings.secret_key,)})) as rotated:
        assert not await refused(rotated, f"Bearer {ann.token}")
        bob = await rotated.person()
        assert not await refused(rotated, f"Bearer {bob.token}")
    assert jwt.decode(bob.token, new.get_secret_value(), ["HS256"], audience="perch")
    assert await refused(perch, f"Bearer {bob.token}")
    async with serving(fresh) as over:
        assert await refused(over, f"Bearer {ann.token}")
        assert not await refused(over, f"Bearer {bob.token}")

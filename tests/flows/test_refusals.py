"""Every refusal of the contract, each produced at the front door; and what no client should have sent."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from graphql import GraphQLObjectType, GraphQLSchema, get_named_type, is_composite_type
from pydantic import SecretStr

from datastore.errors import ErrorCode
from datastore.users import Users
from realtime import keys
from realtime.limits import Action
from schema import globalid
from schema.build import build
from tests.perch import PASSWORD, Answer, Perch, Person, serving

SCHEMA: GraphQLSchema = build()._schema
JUNK_CURSORS = ("", "x", "aDox!", "aDow\u00e9", "OmhvbWU6MQ==", "\x00", "9" * 5000)
JUNK_IDS = ("", "x", "VXNlcg==", "VXNlcjo=", "VXNlcjotMQ==", "VHdlZXQ6eA==", "\u00e9", "9" * 5000)


@pytest.fixture(scope="module")
async def ann(perch: Perch) -> Person:
    return await perch.person()


@pytest.fixture(scope="module")
async def bob(perch: Perch) -> Person:
    return await perch.person()


async def payload(person: Person, verb: str, type_: str, **given: Any) -> list[str]:
    """The codes of a mutation's refusals, given as data."""
    query = f"mutation ($input: {type_}!) {{ {verb}(input: $input) {{ errors {{ code }} }} }}"
    data = await person.do(query, input=given)
    return [error["code"] for error in data[verb]["errors"]]


def sign_up(ann: Person, **changed: str) -> Awaitable[list[str]]:
    name = f"n{secrets.token_hex(6)}"
    given = {"username": name, "email": f"{name}@perch.example", "password": PASSWORD} | changed
    return payload(ann, "signUp", "SignUpInput", **given)


async def of_another(ann: Person, bob: Person) -> list[str]:
    theirs = await bob.post("mine")
    return await payload(ann, "deleteTweet", "TweetInput", tweetId=theirs["id"])


async def blocked(ann: Person, bob: Person) -> list[str]:
    carol = await ann.perch.person()
    await carol.verb("blockUser", {"userId": ann.id})
    return await payload(ann, "followUser", "UserInput", userId=carol.id)


async def key_used_twice(ann: Person, bob: Person) -> list[str]:
    key = secrets.token_hex(8)
    await ann.post("one", idempotencyKey=key)
    return await payload(ann, "postTweet", "PostTweetInput", text="two", idempotencyKey=key)


def nowhere(type_name: str) -> str:
    return globalid.encode(type_name, 7)


REFUSED: dict[ErrorCode, Callable[[Person, Person], Awaitable[list[str]]]] = {
    ErrorCode.TEXT_EMPTY: lambda a, b: payload(a, "postTweet", "PostTweetInput", text=" \n "),
    ErrorCode.TEXT_TOO_LONG: lambda a, b: payload(a, "postTweet", "PostTweetInput", text="x" * 141),
    ErrorCode.TEXT_FORBIDDEN_CHARACTERS: lambda a, b: payload(a, "postTweet", "PostTweetInput", text="a\u202eb"),
    ErrorCode.USERNAME_INVALID: lambda a, b: sign_up(a, username="not a name"),
    ErrorCode.USERNAME_TAKEN: lambda a, b: sign_up(a, username=b.username.upper()),
    ErrorCode.EMAIL_INVALID: lambda a, b: sign_up(a, email="nowhere"),
    ErrorCode.EMAIL_TAKEN: lambda a, b: sign_up(a, email=f"{b.username}@perch.example"),
    ErrorCode.PASSWORD_TOO_WEAK: lambda a, b: sign_up(a, password="short"),
    ErrorCode.WRONG_CREDENTIALS: lambda a, b: payload(
        a, "logIn", "LogInInput", usernameOrEmail=b.username, password="wrong horse 7"
    ),
    ErrorCode.SESSION_EXPIRED: lambda a, b: payload(a, "refreshSession", "RefreshSessionInput", refreshToken="1.x"),
    ErrorCode.NOT_FOUND: lambda a, b: payload(a, "likeTweet", "TweetInput", tweetId=nowhere("Tweet")),
    ErrorCode.NOT_ALLOWED: of_another,
    ErrorCode.SELF_ACTION: lambda a, b: payload(a, "followUser", "UserInput", userId=a.id),
    ErrorCode.BLOCKED: blocked,
    ErrorCode.IDEMPOTENCY_CONFLICT: key_used_twice,
}


@pytest.mark.parametrize("code", ErrorCode)
async def test_every_refusal_that_a_form_can_show_is_data(ann: Person, bob: Person, code: ErrorCode) -> None:
    assert await REFUSED[code](ann, bob) == [code]


# ---------------------------------------------------------------- what the server cannot serve at all


@pytest.fixture(scope="module")
async def strict(perch: Perch) -> AsyncIterator[Perch]:
    """A server in production, with budgets, over the same stores."""
    production = {
        "profile": "production",
        "rate_limits": True,
        "secret_key": SecretStr("a secret for tests, long enough to sign with"),
    }
    async with serving(perch.settings.model_copy(update=production)) as strict:
        yield strict


async def spent(strict: Perch, ann: Person, patch: pytest.MonkeyPatch) -> Answer:
    seconds, micros = await strict.redis.time()
    name = keys.budget(Action.LIKE, str(globalid.of_type(ann.id, "User")))
    await strict.redis.set(name, seconds * 10**6 + micros + 24 * 3600 * 10**6, px=60_000)
    query = f'mutation {{ likeTweet(input: {{tweetId: "{nowhere("Tweet")}"}}) {{ errors {{ code }} }} }}'
    return await strict.ask(query, ann.token)


async def broken(strict: Perch, ann: Person, patch: pytest.MonkeyPatch) -> Answer:
    async def boom(*_: object) -> None:
        raise RuntimeError

    patch.setattr(Users, "by_username", boom)
    return await strict.ask('{ user(username: "ann") { id } }', ann.token)


def asking(query: str, anonymous: bool = False) -> Callable[..., Awaitable[Answer]]:
    return lambda strict, ann, patch: strict.ask(query, None if anonymous else ann.token)


TOP_LEVEL: dict[str, Callable[[Perch, Person, pytest.MonkeyPatch], Awaitable[Answer]]] = {
    "UNAUTHENTICATED": asking("{ homeTimeline { nodes { id } } }", anonymous=True),
    "FORBIDDEN": asking("{ __schema { queryType { name } } }"),
    "RATE_LIMITED": spent,
    "QUERY_TOO_COSTLY": asking(
        "{ topTweets(first: 100) { nodes { tweet { replies(first: 100) { nodes { id } } } } } }"
    ),
    "BAD_USER_INPUT": asking("{ homeTimeline(first: 101) { nodes { id } } }"),
    "GRAPHQL_PARSE_FAILED": asking("{"),
    "GRAPHQL_VALIDATION_FAILED": asking("{ nothing }"),
    "INTERNAL_SERVER_ERROR": broken,
}
TOLD = {
    "RATE_LIMITED": {"retryAfter"},
    "INTERNAL_SERVER_ERROR": {"requestId"},
    "QUERY_TOO_COSTLY": {"cost", "limit", "field"},
}


@pytest.mark.parametrize("code", TOP_LEVEL)
async def test_what_cannot_be_served_is_a_top_level_error_with_its_code(
    strict: Perch, ann: Person, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (error,) = (await TOP_LEVEL[code](strict, ann, monkeypatch)).errors
    assert error["extensions"]["code"] == code
    assert error["extensions"].keys() - {"code"} == TOLD.get(code, set())


async def test_in_production_an_answer_may_still_be_asked_for_its_type(strict: Perch) -> None:
    assert (await strict.ask("{ __typename viewer { __typename } }")).data == {"__typename": "Query", "viewer": None}


# ---------------------------------------------------------------- junk: every argument there is


def places(argument: str) -> list[tuple[str, str]]:
    """(type, field) of every field with this argument, but for subscriptions, which have their own test."""
    return [
        (type_.name, name)
        for type_ in SCHEMA.type_map.values()
        if isinstance(type_, GraphQLObjectType) and type_ is not SCHEMA.subscription_type
        for name, field in type_.fields.items()
        if argument in field.args
    ]


def ask_for(type_name: str, name: str, arguments: str, person: Person, tweet_id: str) -> str:
    """A query for one field of one type, from the nearest root."""
    roots = {
        "Query": "{ %s }",
        "Viewer": "{ viewer { %s } }",
        "User": f'{{ user(username: "{person.username}") {{ %s }} }}',
        "Tweet": f'{{ tweet(id: "{tweet_id}") {{ %s }} }}',
    }
    type_ = SCHEMA.get_type(type_name)
    assert isinstance(type_, GraphQLObjectType)
    below = " { __typename }" if is_composite_type(get_named_type(type_.fields[name].type)) else ""
    query = 'query: "a", ' if "query" in type_.fields[name].args else ""
    return roots[type_name] % f"{name}({query}{arguments}){below}"


@pytest.fixture(scope="module")
async def tweet_id(ann: Person) -> str:
    return str((await ann.post("a tweet"))["id"])


@pytest.mark.parametrize(("type_name", "name"), places("after"))
async def test_a_junk_cursor_is_bad_input_and_never_page_one(
    ann: Person, tweet_id: str, type_name: str, name: str
) -> None:
    query = ask_for(type_name, name, "after: $after", ann, tweet_id)
    for junk in (*JUNK_CURSORS, ann.id):
        answer = await ann.ask("query ($after: String) " + query, after=junk)
        assert answer.codes == ["BAD_USER_INPUT"], junk


@pytest.mark.parametrize("name", ["node", "tweet", "nodes"])
async def test_a_junk_id_is_null_or_bad_input(ann: Person, name: str) -> None:
    for junk in (*JUNK_IDS, nowhere("Tweet"), nowhere("User"), nowhere("Session")):
        given = f"{name}(ids: [$id])" if name == "nodes" else f"{name}(id: $id)"
        answer = await ann.ask(f"query ($id: ID!) {{ {given} {{ __typename }} }}", id=junk)
        assert answer.codes in ([], ["BAD_USER_INPUT"]), junk
        assert not answer.data or answer.data[name] in (None, [None])


def id_inputs() -> list[tuple[str, str, str]]:
    """(mutation, its input type, the input's field) for every id that a mutation takes."""
    mutation = SCHEMA.mutation_type
    assert mutation
    return [
        (verb, input_.name, name)
        for verb, field in mutation.fields.items()
        for input_ in [get_named_type(argument.type) for argument in field.args.values()]
        for name, part in getattr(input_, "fields", {}).items()
        if get_named_type(part.type).name == "ID"
    ]


@pytest.mark.parametrize(("verb", "type_", "name"), id_inputs())
async def test_a_junk_id_changes_nothing_and_is_told(ann: Person, verb: str, type_: str, name: str) -> None:
    assert len(id_inputs()) > 10
    query = f"mutation ($input: {type_}!) {{ {verb}(input: $input) {{ errors {{ code }} }} }}"
    more = {"text": "an answer"} if type_ == "PostTweetInput" else {}
    for junk in (*JUNK_IDS, nowhere("Tweet"), nowhere("User"), nowhere("Session"), {"$gt": ""}):
        answer = await ann.ask(query, input={name: junk} | more)
        refused = [error["code"] for error in answer.data[verb]["errors"]] if answer.data else answer.codes
        assert refused in (["NOT_FOUND"], ["BAD_USER_INPUT"]), junk


@pytest.mark.parametrize(
    "query",
    [
        "subscription ($junk: String) { homeTimelineEvents(after: $junk) { __typename } }",
        "subscription ($junk: ID!) { tweetEvents(tweetIds: [$junk]) { __typename } }",
        "subscription ($junk: ID!) { userActivity(userId: $junk) { __typename } }",
    ],
)
async def test_a_junk_argument_ends_its_subscription(perch: Perch, ann: Person, query: str) -> None:
    async with perch.socket() as socket:
        await socket.init({"authorization": f"Bearer {ann.token}"})
        for junk in ("x", "9" * 5000, nowhere("Session")):
            await socket.send(
                {"type": "subscribe", "id": junk[:5], "payload": {"query": query, "variables": {"junk": junk}}}
            )
            message = await socket.receive()
            errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
            assert [error["extensions"]["code"] for error in errors] in (["BAD_USER_INPUT"], ["NOT_FOUND"])
            if message["type"] == "next":
                assert (await socket.receive())["type"] == "complete"

"""Production: nothing says how the server is made, in any answer, over HTTP or a socket."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from datastore.users import Users
from tests.perch import Perch, serving
from tests.processes import ROOT
from tests.security.talk import ask, refused

INTROSPECTIONS = [
    "{ __schema { queryType { name } } }",
    '{ __type(name: "User") { name } }',
    "{ ...A } fragment A on Query { __schema { types { name } } }",
    "{ ... on Query { a: __schema { types { name } } } }",
    "{ ... @include(if: false) { __schema { types { name } } } }",
]
SLIPS = [
    "{ viewers { email } }",
    "{ viewer { emails } }",
    '{ user(usernames: "a") { id } }',
    "{ ...Nope }",
    "{ viewer { user { ... on Usr { id } } } }",
    "query ($a: Strin) { __typename }",
    "{ topTweets(window: DAYS) { nodes { score } } }",
    "mutation { postTweet(input: {txt: 1}) { errors { code } } }",
    "{ __typename @skp(if: true) }",
]
VALUES: list[tuple[str, str, Any]] = [
    ("SignUpInput!", "signUp", {"user": "a"}),
    ("RefreshSessionInput!", "refreshSession", {"refresh_token": "a"}),
    ("LogInInput!", "logIn", {"username": "a", "password": "b"}),
]


@pytest.fixture(scope="module")
async def production(perch: Perch) -> AsyncIterator[Perch]:
    """A server in production, over the same stores."""
    async with serving(perch.settings.model_copy(update={"profile": "production"})) as production:
        yield production


@pytest.mark.parametrize("query", INTROSPECTIONS)
async def test_the_schema_is_not_told(production: Perch, query: str) -> None:
    answer = await production.ask(query)
    assert (answer.data, answer.codes[0]) == (None, "FORBIDDEN")
    async with production.socket() as socket:
        await socket.init()
        assert (await refused(socket, "1", query))[0] == "FORBIDDEN"


@pytest.mark.parametrize("query", SLIPS)
async def test_a_slip_is_refused_and_nothing_is_suggested(production: Perch, query: str) -> None:
    answer = await production.ask(query)
    assert answer.data is None
    assert set(answer.codes) == {"GRAPHQL_VALIDATION_FAILED"}
    assert "Did you mean" not in str(answer.errors)


@pytest.mark.parametrize(("type_", "name", "value"), VALUES)
async def test_a_value_that_does_not_fit_is_refused_and_nothing_is_suggested(
    production: Perch, type_: str, name: str, value: Any
) -> None:
    answer = await production.ask(f"mutation ($v: {type_}) {{ {name}(input: $v) {{ errors {{ code }} }} }}", v=value)
    assert (answer.data, set(answer.codes)) == (None, {"BAD_USER_INPUT"})
    assert "Did you mean" not in str(answer.errors)


async def test_a_browser_gets_no_page(production: Perch) -> None:
    response = await production.http.get("/graphql", headers={"accept": "text/html"})
    assert response.status_code == 404
    assert response.json()["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}
    for path in ("/graphiql", "/graphiql/assets/index.js"):
        assert (await production.http.get(path)).status_code == 404


class SecretError(RuntimeError):
    """What no answer may hold: its name, its text, and the lines that lead to it."""


@pytest.fixture
def _broken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def boom(*_: Any) -> None:
        raise SecretError("mongodb://root:hunter2@db")

    monkeypatch.setattr(Users, "by_username", boom)


@pytest.mark.usefixtures("_broken")
async def test_a_bug_is_masked_over_http_and_over_a_socket(production: Perch) -> None:
    query = '{ user(username: "a") { id } }'
    response = await production.http.post("/graphql", json={"query": query})
    async with production.socket() as socket:
        await socket.init()
        payload = await ask(socket, "1", query)
    for told in (response.json(), payload):
        (error,) = told["errors"]
        assert (error["message"], error["extensions"]["code"]) == (
            "Something broke on our side.",
            "INTERNAL_SERVER_ERROR",
        )
        for part in ("SecretError", "hunter2", "Traceback", ".py", str(ROOT)):
            assert part not in str(told)


async def test_a_bug_in_the_transport_is_masked_too(production: Perch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.transport.settled", lambda *_: 1 / 0)
    response = await production.http.post("/graphql", json={"query": "{ __typename }"})
    assert response.status_code == 500
    assert response.text == "Internal Server Error"


def test_no_secret_of_a_development_is_in_the_code_of_the_rooms() -> None:
    """The demo account exists where `make run` planted it, which production refuses to be."""
    rooms = [
        path for room in ("schema", "resolvers", "realtime", "datastore") for path in Path(ROOT, room).rglob("*.py")
    ]
    assert not [path for path in rooms if "perch-demo" in path.read_text()]

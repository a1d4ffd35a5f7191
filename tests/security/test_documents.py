"""Trusted documents: by hash or by text, over every transport, and nothing else where only they are served."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import app
from datastore.settings import Settings
from schema.build import build
from schema.documents import BadDocumentError, Documents, add, hash_of, read
from tests.perch import Perch, Person, serving
from tests.security.talk import ANSWER, refused, subscribe

KNOWN = "query Known { __typename }"
HOME = "subscription Home($after: String) { homeTimelineEvents(after: $after) { __typename } }"
POST = 'mutation Post { postTweet(input: {text: "by hash"}) { errors { code } } }'
OTHER = "query Other { __typename }"
TRUSTED = {hash_of(text): text for text in (KNOWN, HOME, POST)}
JSON = {"accept": "application/json"}


def named(text: str, **more: Any) -> dict[str, Any]:
    """A request for a document by its hash."""
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_of(text)}}} | more


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("documents") / "documents.json"
    path.write_text(json.dumps(TRUSTED))
    return path


def in_mode(perch: Perch, mode: str, manifest: Path) -> Settings:
    return perch.settings.model_copy(update={"trusted_documents": mode, "documents": manifest})


@pytest.fixture(scope="module")
async def preferring(perch: Perch, manifest: Path) -> AsyncIterator[Perch]:
    async with serving(in_mode(perch, "prefer", manifest)) as preferring:
        yield preferring


@pytest.fixture(scope="module")
async def only(perch: Perch, manifest: Path) -> AsyncIterator[Perch]:
    async with serving(in_mode(perch, "only", manifest)) as only:
        yield only


async def sent(perch: Perch, request: dict[str, Any]) -> Any:
    """The answer, or the codes of its errors; the same over HTTP by POST and by GET, and over a socket."""
    posted = (await perch.http.post("/graphql", json=request)).json()
    params = {name: value if isinstance(value, str) else json.dumps(value) for name, value in request.items()}
    got = (await perch.http.get("/graphql", params=params, headers=JSON)).json()
    async with perch.socket() as socket:
        await socket.init()
        await socket.send({"type": "subscribe", "id": "1", "payload": request})
        message = await socket.receive()
    over_socket = {"errors": message["payload"]} if message["type"] == "error" else message["payload"]
    answers = [_short(answer) for answer in (posted, got, over_socket)]
    assert answers == [answers[0]] * 3
    return answers[0]


def _short(answer: Any) -> Any:
    return [error["extensions"]["code"] for error in answer["errors"]] if "errors" in answer else answer


# ---------------------------------------------------------------- the three modes


async def test_off_takes_text_and_tells_clients_to_send_it(perch: Perch) -> None:
    assert await sent(perch, {"query": OTHER}) == ANSWER
    assert await sent(perch, named(OTHER, query=OTHER)) == ANSWER
    assert await sent(perch, named(KNOWN)) == ["PERSISTED_QUERY_NOT_SUPPORTED"]


async def test_prefer_takes_text_and_hashes_of_what_is_trusted_or_was_brought(preferring: Perch) -> None:
    assert await sent(preferring, {"query": "{ __typename }"}) == ANSWER
    assert await sent(preferring, named(KNOWN)) == ANSWER
    assert await sent(preferring, named(OTHER)) == ["PERSISTED_QUERY_NOT_FOUND"]
    assert await sent(preferring, named(OTHER, query=OTHER)) == ANSWER
    assert await sent(preferring, named(OTHER)) == ANSWER


async def test_only_takes_what_is_trusted_by_text_or_by_hash_and_nothing_else(only: Perch) -> None:
    for request in (named(KNOWN), {"query": KNOWN}, named(KNOWN, query=KNOWN)):
        assert await sent(only, request) == ANSWER
    for request in ({"query": OTHER}, named(OTHER, query=OTHER), {"query": f"{KNOWN} "}, {"query": "{"}):
        assert await sent(only, request) == ["FORBIDDEN"]
    assert await sent(only, named(OTHER)) == ["PERSISTED_QUERY_NOT_FOUND"]


async def test_a_client_that_knows_the_protocol_recognises_the_message(preferring: Perch, perch: Perch) -> None:
    for server, message in ((preferring, "PersistedQueryNotFound"), (perch, "PersistedQueryNotSupported")):
        body = (await server.http.post("/graphql", json=named("query Nobody { __typename }"))).json()
        assert [error["message"] for error in body["errors"]] == [message]


@pytest.mark.parametrize(
    "junk",
    [
        5,
        [],
        "x",
        {},
        {"version": 1},
        {"version": 2, "sha256Hash": hash_of(KNOWN)},
        {"version": 1, "sha256Hash": 5},
        {"version": 1, "sha256Hash": {"$gt": ""}},
    ],
    ids=str,
)
async def test_junk_for_a_hash_is_bad_input(preferring: Perch, junk: Any) -> None:
    assert await sent(preferring, {"query": KNOWN, "extensions": {"persistedQuery": junk}}) == ["BAD_USER_INPUT"]


async def test_a_hash_of_something_else_is_bad_input_and_not_remembered(preferring: Perch) -> None:
    wrong = named("query Wrong { __typename }")
    assert await sent(preferring, wrong | {"query": OTHER}) == ["BAD_USER_INPUT"]
    assert await sent(preferring, wrong) == ["PERSISTED_QUERY_NOT_FOUND"]


async def test_a_mutation_by_hash_comes_by_post_and_not_by_get(perch: Perch, only: Perch) -> None:
    ann = await perch.person()
    headers = {"authorization": f"Bearer {ann.token}"} | JSON
    params = {"extensions": json.dumps(named(POST)["extensions"])}
    assert (await only.http.get("/graphql", params=params, headers=headers)).status_code == 400
    assert await ann.texts() == []
    posted = await only.http.post("/graphql", json=named(POST), headers=headers)
    assert posted.json()["data"] == {"postTweet": {"errors": []}}
    assert await ann.texts() == ["by hash"]


async def test_a_subscription_by_hash_runs_over_a_socket_and_as_an_event_stream(perch: Perch, only: Perch) -> None:
    ann = await perch.person()
    after = (await ann.home())["liveCursor"]
    await ann.post("first")
    request = named(HOME, variables={"after": after})
    async with only.socket() as socket:
        await socket.init({"authorization": f"Bearer {ann.token}"})
        await socket.send({"type": "subscribe", "id": "1", "payload": request})
        assert (await socket.receive())["payload"]["data"]["homeTimelineEvents"]["__typename"] == "TimelineTweetAdded"
    assert await first_line(only, ann, request) == "event: next"


async def first_line(perch: Perch, who: Person, request: dict[str, Any]) -> str:
    headers = {"authorization": f"Bearer {who.token}", "accept": "text/event-stream"}
    async with perch.http.stream("POST", "/graphql", json=request, headers=headers) as response:
        async for line in response.aiter_lines():
            if line.startswith("event"):
                return line
    return ""


async def test_a_document_without_a_name_is_no_malformed_frame(only: Perch) -> None:
    async with only.socket() as socket:
        await socket.init()
        await socket.send(subscribe("1", extensions={"persistedQuery": {}}))
        assert (await socket.receive())["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert await refused(socket, "2", OTHER) == ["FORBIDDEN"]


def test_what_clients_bring_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.documents.REMEMBERED_CHARACTERS", 1000)
    documents = Documents("prefer")
    texts = [f"{{ __typename }} # {number} ".ljust(100, "x") for number in range(30)]
    for text in texts * 2:
        documents.text_of(text, named(text)["extensions"])
    for text in texts[-10:]:
        assert documents.text_of(None, named(text)["extensions"]) == text
    assert sum(map(len, documents._remembered.values())) == 1000 == documents._characters


# ---------------------------------------------------------------- the manifest


def test_documents_are_added_by_their_hash_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    schema, manifest = build()._schema, tmp_path / "documents.json"
    one, two = tmp_path / "one.graphql", tmp_path / "two.graphql"
    one.write_text(KNOWN)
    two.write_text(HOME)
    assert add(schema, manifest, [one]) == {hash_of(KNOWN): one}
    assert add(schema, manifest, [one, two]) == {hash_of(KNOWN): one, hash_of(HOME): two}
    assert read(manifest) == {hash_of(KNOWN): KNOWN, hash_of(HOME): HOME}
    other = tmp_path / "other.json"
    other.write_text(json.dumps({hash_of(OTHER): OTHER}))
    add(schema, manifest, [other])
    assert len(read(manifest)) == 3
    assert [path.name for path in tmp_path.glob("documents.json*")] == ["documents.json"]


def test_a_hash_may_name_its_algorithm_as_code_generators_write_it(tmp_path: Path) -> None:
    generated, manifest = tmp_path / "persisted-documents.json", tmp_path / "documents.json"
    generated.write_text(json.dumps({f"sha256:{hash_of(KNOWN)}": KNOWN}))
    add(build()._schema, manifest, [generated])
    assert read(manifest) == {hash_of(KNOWN): KNOWN}
    asked = {"persistedQuery": {"version": 1, "sha256Hash": f"sha256:{hash_of(KNOWN)}"}}
    assert Documents.of("only", manifest).text_of(None, asked) == KNOWN


@pytest.mark.parametrize(
    "text",
    ["{", "{ nope }", "{" + " ".join(f"a{n}: __typename" for n in range(16)) + "}", ""],
    ids=lambda text: text[:9],
)
def test_a_document_that_would_be_refused_is_not_added_nor_are_those_beside_it(tmp_path: Path, text: str) -> None:
    manifest, good, bad = (tmp_path / name for name in ("documents.json", "good.graphql", "bad.graphql"))
    good.write_text(KNOWN)
    bad.write_text(text)
    with pytest.raises(BadDocumentError, match=r"bad\.graphql: "):
        add(build()._schema, manifest, [good, bad])
    assert not manifest.exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 5}', json.dumps({hash_of(KNOWN): OTHER}), "\x00"])
def test_a_manifest_that_is_junk_is_one_clear_line(tmp_path: Path, text: str) -> None:
    manifest = tmp_path / "documents.json"
    manifest.write_text(text)
    with pytest.raises(BadDocumentError, match=r"documents\.json: "):
        Documents.of("only", manifest)


def test_only_does_not_start_without_documents(tmp_path: Path) -> None:
    with pytest.raises(BadDocumentError, match="python -m app documents add"):
        Documents.of("only", tmp_path / "documents.json")
    assert Documents.of("prefer", tmp_path / "documents.json").text_of(OTHER, None) == OTHER


def test_the_command_adds_and_prints_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCUMENTS", str(tmp_path / "documents.json"))
    one, two = tmp_path / "one.graphql", tmp_path / "two.graphql"
    one.write_text(KNOWN)
    two.write_text("{ nope }")
    for file, code in ((one, 0), (two, 1)):
        monkeypatch.setattr("sys.argv", ["app", "documents", "add", str(file)])
        assert app.main() == code
    out, err = capsys.readouterr()
    assert out == f"{hash_of(KNOWN)}  {one}\n"
    assert err == f"perch: {two}: Cannot query field 'nope' on type 'Query'.\n"
    assert list(read(tmp_path / "documents.json")) == [hash_of(KNOWN)]

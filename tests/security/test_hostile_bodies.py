"""GraphQL over HTTP: whatever the body is, the answer is JSON with coded errors, and never the server's fault."""

from typing import Any

import pytest

from tests.perch import Perch
from tests.security.bodies import JSON, OK, TYPES, codes, document, nested, send

NO_OPERATIONS: dict[str, str | bytes] = {
    "empty": "",
    "spaces": "   ",
    "null": "null",
    "true": "true",
    "number": "5",
    "string": '"{__typename}"',
    "empty list": "[]",
    "a batch": f"[{OK}]",
    "a list of scalars": "[5]",
    "empty object": "{}",
    "null query": '{"query": null}',
    "empty query": '{"query": ""}',
    "query is a number": '{"query": 5}',
    "query is a list": '{"query": ["{__typename}"]}',
    "variables are a list": '{"query": "{__typename}", "variables": []}',
    "variables are a string": '{"query": "{__typename}", "variables": "{}"}',
    "extensions are a number": '{"query": "{__typename}", "extensions": 5}',
    "unknown operation": '{"query": "{__typename}", "operationName": "x"}',
    "operation name is a list": '{"query": "{__typename}", "operationName": [1]}',
    "operation name is an object": '{"query": "{__typename}", "operationName": {"$gt": ""}}',
    "only a fragment": document("fragment U on User { id }"),
    "half an object": '{"query": "{__typename}"',
    "two objects": OK + OK,
    "single quotes": "{'query': '{__typename}'}",
    "NaN": '{"query": "{__typename}", "variables": {"a": NaN}}',
    "infinity": '{"query": "{__typename}", "variables": {"a": 1e999}}',
    "5,000 digits": '{"query": "{__typename}", "variables": {"a": %s}}' % ("9" * 5000),
    "bad UTF-8": b'{"query": "{__typename} #\xff\xfe"}',
    "overlong UTF-8": b'{"query": "{__typename} #\xc0\xaf"}',
    "lone surrogate": '{"query": "{__typename}", "variables": {"a": "\\ud800"}}',
    "UTF-16": OK.encode("utf-16"),
    "UTF-32": OK.encode("utf-32"),
    "NUL": '{"query": "{__typename}"}\x00',
    "60,000 lists deep": "[" * 60_000,
    "30,000 lists deep": "[" * 30_000 + "]" * 30_000,
    "10,000 objects deep": '{"query": "{__typename}", "variables": ' + nested("a", 10_000) + "}",
}


# Each would be a good operation if it were smaller.
TOO_LARGE = {
    "100,000 lists deep": "[" * 100_000,
    "100,000 lists deep, closed": "[" * 100_000 + "]" * 100_000,
    "variables 100,000 lists deep": '{"query": "{__typename}", "variables": {"a": %s}}'
    % ("[" * 100_000 + "]" * 100_000),
    "variables 100,000 objects deep": '{"query": "{__typename}", "variables": ' + nested("a", 100_000) + "}",
    "20,000 aliases": document("{" + " ".join(f"a{n}: __typename" for n in range(20_000)) + "}"),
    "30,000 fields of one name": document("{" + "__typename " * 30_000 + "}"),
    "a number of 100,000 digits": '{"query": "{__typename}", "variables": {"a": %s}}' % ("9" * 100_000),
    "a name of 1 MB": document("{" + "a" * 1_000_000 + "}"),
}


@pytest.mark.parametrize("accept", TYPES)
@pytest.mark.parametrize("body", NO_OPERATIONS.values(), ids=NO_OPERATIONS)
async def test_a_body_that_is_no_operation_is_refused_with_400(perch: Perch, body: str | bytes, accept: str) -> None:
    response = await send(perch, body, accept=accept)
    assert response.status_code == 400
    assert codes(response) == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("body", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_a_body_that_is_too_large_is_refused_with_413(perch: Perch, body: str) -> None:
    response = await send(perch, body)
    assert response.status_code == 413
    assert codes(response) == ["BAD_USER_INPUT"]


# ---------------------------------------------------------------- size and type


async def test_a_body_of_64_kib_is_read_and_a_larger_one_refused_with_413(perch: Perch) -> None:
    frame = len(document("{__typename}"))
    assert (await send(perch, document("{__typename}" + " " * (64 * 1024 - frame)))).status_code == 200
    assert (await send(perch, document("{__typename}" + " " * (64 * 1024 - frame + 1)))).status_code == 413


async def test_a_body_that_does_not_tell_its_length_is_bounded_all_the_same(perch: Perch) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 10_000

    response = await perch.http.post("/graphql", content=endless(), headers=JSON)
    assert response.status_code == 413


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/plain; charset=utf-8",
        "text/plain; application/json",
        "text/html",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/graphql",
        ";",
    ],
)
async def test_only_json_is_read(perch: Perch, content_type: str) -> None:
    """The others are what a foreign page may send without asking first."""
    response = await perch.http.post("/graphql", content=OK, headers={"content-type": content_type})
    assert response.status_code in (400, 415)
    assert codes(response) == ["BAD_USER_INPUT"]


async def test_forms_and_uploads_are_refused(perch: Perch) -> None:
    operations = {"operations": OK, "map": '{"0": ["variables.file"]}'}
    sendings: list[dict[str, Any]] = [{"data": {"query": "{__typename}"}}, {"data": operations, "files": {"0": b"x"}}]
    for sent in sendings:
        response = await perch.http.post("/graphql", **sent)
        assert response.status_code in (400, 415)
        assert codes(response) == ["BAD_USER_INPUT"]


async def test_json_is_read_in_utf_8_whatever_the_header_says(perch: Perch) -> None:
    for content_type in ("application/json; charset=utf-8", "application/json; charset=utf-16"):
        response = await perch.http.post("/graphql", content=OK, headers={"content-type": content_type})
        assert response.json() == {"data": {"__typename": "Query"}}, content_type


async def test_a_media_type_is_read_in_any_case(perch: Perch) -> None:
    response = await perch.http.post("/graphql", content=OK, headers={"content-type": "Application/JSON"})
    assert response.json() == {"data": {"__typename": "Query"}}

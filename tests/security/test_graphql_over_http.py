"""GraphQL over HTTP, held to the audit that others wrote, and the choice between its two media types."""

import asyncio
import json
from asyncio.subprocess import PIPE
from typing import Any

import pytest

from schema.negotiation import GRAPHQL, JSON, prefers_graphql
from tests.perch import PATIENCE_SECONDS, Perch
from tests.processes import ROOT

AUDITS = 61


async def test_every_audit_of_graphql_over_http_passes_should_and_may_included(perch: Perch) -> None:
    script = str(ROOT / "tests" / "node" / "audit.mjs")
    process = await asyncio.create_subprocess_exec("node", script, f"{perch.url}/graphql", stdout=PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 6 * PATIENCE_SECONDS)
    found: list[dict[str, Any]] = json.loads(out)
    assert [audit for audit in found if audit["status"] != "ok"] == []
    assert len(found) >= AUDITS


@pytest.mark.parametrize(
    ("accept", "newer"),
    [
        ("", False),
        ("*/*", False),
        ("application/*", False),
        (JSON, False),
        (GRAPHQL, True),
        (GRAPHQL.upper(), True),
        (f"{GRAPHQL}; charset=utf-8", True),
        (f"{GRAPHQL}, {JSON}", True),
        (f"{JSON}, {GRAPHQL}", True),
        (f"{JSON}, {GRAPHQL};q=0.9", False),
        (f"{JSON};q=0.8, {GRAPHQL};q=0.9, */*", True),
        (f"{GRAPHQL};q=0", False),
        (f"{GRAPHQL};q=junk", False),
        (",;=,", False),
    ],
)
def test_the_newer_media_type_is_for_those_who_name_it(accept: str, newer: bool) -> None:
    assert prefers_graphql(accept) is newer


@pytest.mark.parametrize(
    ("query", "status", "has_data"),
    [
        ("{ __typename }", 200, True),
        ("{ viewer { user { id } } }", 200, True),
        ("query ($n: Boolean = true) { homeTimeline @include(if: $n) { nodes { id } } }", 200, True),
        ("{ homeTimeline { nodes { id } } }", 400, False),
        ("{", 400, False),
        ("{ nothing }", 400, False),
        ("query ($n: Int!) { topTweets(first: $n) { nodes { score } } }", 400, False),
    ],
)
async def test_an_operation_that_never_ran_is_a_400_without_data(
    perch: Perch, query: str, status: int, has_data: bool
) -> None:
    for accept, expected in ((GRAPHQL, status), (JSON, 200)):
        response = await perch.http.post("/graphql", json={"query": query}, headers={"accept": accept})
        assert response.status_code == expected
        assert response.headers["content-type"].startswith(accept)
        assert ("data" in response.json()) is (has_data or accept == JSON)

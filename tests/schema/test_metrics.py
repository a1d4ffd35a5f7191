"""Metrics: what is counted where somebody can look, under labels that have a bound; and all of it is documented."""

import re
import secrets
from pathlib import Path

from graphql import OperationDefinitionNode, parse
from prometheus_client import REGISTRY

from schema.cursors import encode_live
from schema.metrics import SEVERAL, label_of
from tests.perch import Perch

OPERATIONS_PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
USER = "query ($name: String!) { user(username: $name) { id } }"


def counted(name: str, **labels: str) -> float:
    """What a metric of this process stands at."""
    return REGISTRY.get_sample_value(name, labels) or 0


def requests(operation: str, outcome: str) -> float:
    return counted("perch_requests_total", operation=operation, outcome=outcome)


def labelled(text: str) -> str:
    document = parse(text)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return label_of(document, operation)


async def test_operations_are_counted_by_root_field_and_outcome(perch: Perch) -> None:
    before = requests("user", "ok"), requests("homeTimeline", "UNAUTHENTICATED"), requests("unknown", BROKEN)
    timed = counted("perch_request_seconds_count", operation="user")
    # The second one takes the shorter road of what was asked before.
    for _ in range(2):
        await perch.ask(USER, name="nobody")
    await perch.ask("{ homeTimeline { edges { cursor } } }")
    await perch.ask("{ noSuchField }")
    assert requests("user", "ok") == before[0] + 2
    assert requests("homeTimeline", "UNAUTHENTICATED") == before[1] + 1
    assert requests("unknown", BROKEN) == before[2] + 1
    assert counted("perch_request_seconds_count", operation="user") == timed + 2


BROKEN = "GRAPHQL_VALIDATION_FAILED"


def test_labels_are_root_fields_whatever_clients_call_things() -> None:
    assert labelled("query Mine { mine: user(username: $n) { id } }") == "user"
    assert labelled("{ ...A __typename } fragment A on Query { ... on Query { viewer { user { id } } } }") == "viewer"
    assert labelled("{ __typename }") == "__typename"
    assert labelled("{ a: user { id } viewer { user { id } } }") == SEVERAL


async def test_no_name_that_a_client_chose_becomes_a_label(perch: Perch) -> None:
    name = f"Q{secrets.token_hex(6)}"
    await perch.ask(f'query {name} {{ {name}: user(username: "x") {{ id }} }}')
    assert name not in (await perch.http.get("/metrics")).text


async def test_a_refusal_as_data_is_counted_by_its_code(perch: Perch) -> None:
    ann = await perch.person()
    before = counted("perch_refusals_total", code="TEXT_EMPTY"), requests("postTweet", "ok")
    query = 'mutation { postTweet(input: {text: " "}) { errors { code } } }'
    assert (await ann.do(query))["postTweet"]["errors"] == [{"code": "TEXT_EMPTY"}]
    assert counted("perch_refusals_total", code="TEXT_EMPTY") == before[0] + 1
    assert requests("postTweet", "ok") == before[1] + 1


async def test_a_subscription_its_socket_its_resync_and_a_posts_way_to_it_are_counted(perch: Perch) -> None:
    ann = await perch.person()
    await ann.home()
    names = "perch_live_rounds_total", "perch_fanout_lag_seconds_count"
    before = [counted(name) for name in names]
    subscribed = requests("homeTimelineEvents", "ok")
    resyncs = counted("perch_resyncs_total", reason="STATE_LOST")
    async with ann.live(encode_live("")) as live:
        assert await live.resync() == "STATE_LOST"
        assert counted("perch_connections") >= 1
        await ann.post("counted")
        await live.added()
    await perch.settle()
    assert counted("perch_resyncs_total", reason="STATE_LOST") == resyncs + 1
    assert all(counted(name) > was for name, was in zip(names, before, strict=True))
    assert requests("homeTimelineEvents", "ok") == subscribed + 1


async def test_rounds_of_a_page_and_batches_of_nested_records_are_counted(perch: Perch) -> None:
    ann = await perch.person()
    tweet = await ann.post("answer", inReplyTo=(await ann.post("root"))["id"])
    pages = counted("perch_page_rounds_count")
    batches = counted("perch_loader_batches_total", loader="tweets")
    keys = counted("perch_loader_keys_total", loader="tweets")
    await ann.home()
    await ann.do("query ($id: ID!) { tweet(id: $id) { inReplyTo { id } } }", id=tweet["id"])
    assert counted("perch_page_rounds_count") == pages + 1
    assert counted("perch_loader_batches_total", loader="tweets") == batches + 1
    assert counted("perch_loader_keys_total", loader="tweets") == keys + 1


def test_every_metric_is_in_the_operations_page_and_nothing_else_is() -> None:
    exported = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
        if family.name.startswith("perch_")
    }
    section = OPERATIONS_PAGE.read_text().partition("\n### Every metric\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `(perch_\w+)`", section, re.MULTILINE))
    assert exported == told


def test_every_label_is_in_the_operations_page() -> None:
    rows = dict(re.findall(r"^\| `(perch_\w+)` \|([^|]*)\|", OPERATIONS_PAGE.read_text(), re.MULTILINE))
    for collector in set(REGISTRY._names_to_collectors.values()):
        name, labels = str(getattr(collector, "_name", "")), getattr(collector, "_labelnames", ())
        if name.startswith("perch_") and labels:
            row = rows.get(f"{name}_total") or rows[name]
            assert re.findall(r"`(\w+)`", row) == [*labels], name

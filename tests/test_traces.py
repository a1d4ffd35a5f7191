"""Traces: one from a mutation to the socket, across processes, told to a collector; nothing that was said is in it."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from datastore import tracing
from realtime import telemetry
from realtime.connect import for_requests
from realtime.spans import Traced
from schema.spans import TracedRequests
from tests.processes import Cluster

TEXT = "a tweet that no span may tell"


class Collector:
    """An OTLP/HTTP receiver on loopback, which keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: dict[bytes, tuple[str, Span]] = {}
        self.raw: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.path, self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        request = ExportTraceServiceRequest()
        plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        request.ParseFromString(plain)
        self.raw.append(plain)
        for resource in request.resource_spans:
            service = next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
            for scope in resource.scope_spans:
                self.spans |= {span.span_id: (service, span) for span in scope.spans}

    def ancestry(self, span: Span) -> list[str]:
        """ "service: name" of the span and of all above it that are known, innermost first."""
        found, at = [], span.span_id
        while at in self.spans:
            service, one = self.spans[at]
            found.append(f"{service}: {one.name}")
            at = one.parent_span_id
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


@pytest.fixture
async def cluster(apart: tuple[str, str], tmp_path: Path, collector: Collector) -> AsyncIterator[Cluster]:
    cluster = Cluster(apart, tmp_path, TRACES=collector.url, OTEL_BSP_SCHEDULE_DELAY="50", LOG_LEVEL="INFO")
    yield cluster
    await cluster.stop()


async def test_one_trace_leads_from_the_mutation_to_the_socket_and_says_nothing(
    cluster: Cluster, collector: Collector, tmp_path: Path
) -> None:
    await asyncio.gather(cluster.start("serve"), cluster.start("work"))
    async with cluster.perch() as perch:
        ann, bob = await perch.persons(2)
        await bob.follow(ann)
        await perch.settle()
        page = await bob.home()
        async with bob.live(page["liveCursor"]) as live:
            # The second one takes the shorter road of what was asked before.
            for text in (TEXT, f"{TEXT} again"):
                await ann.post(text)
                assert await live.added() == text
        await perch.settle()
        mail = f"{ann.username}@perch.example"
        secrets = [
            TEXT,
            ann.username,
            bob.username,
            mail,
            ann.token,
            ann.refresh_token,
            ann.password,
            page["liveCursor"],
        ]
    await cluster.stop()  # what was not sent yet is sent now

    rounds = [span for _, span in collector.spans.values() if span.name == "live round"]
    assert len({span.trace_id for span in rounds}) == 2
    for span in rounds:
        assert collector.ancestry(span) == [
            "perch-serve: live round",
            "perch-work: event TweetPosted",
            "perch-work: relay",
            "perch-serve: field postTweet",
            "perch-serve: operation postTweet",
            "perch-serve: POST /graphql",
        ]
    trace = [(service, span) for service, span in collector.spans.values() if span.trace_id == rounds[0].trace_id]
    names = {(service, span.name) for service, span in trace}
    assert {("perch-serve", "mongodb insert tweets"), ("perch-serve", "redis copies_read")} <= names
    assert {("perch-work", "redis deliver x1"), ("perch-serve", "mongodb aggregate blocks")} <= names
    first: dict[str, int] = {}
    for _, span in trace:
        first[span.name] = min(first.get(span.name, span.start_time_unix_nano), span.start_time_unix_nano)
    steps = ["POST /graphql", "operation postTweet", "field postTweet", "mongodb insert tweets"]
    steps += ["relay", "event TweetPosted", "redis deliver x1", "live round"]
    assert [first[step] for step in steps] == sorted(first[step] for step in steps)

    told = b"".join(collector.raw)
    assert len(told) > 1000
    logs = b"".join(path.read_bytes() for path in tmp_path.glob("*.log"))
    for secret in secrets:
        assert secret.encode() not in told
        assert secret.encode() not in logs


def kept(collector: Collector) -> list[Span]:
    return [span for _, span in collector.spans.values()]


def test_nothing_is_traced_unless_asked_for() -> None:
    assert not tracing.is_on()
    assert tracing.span("a") is tracing.span("b")
    with tracing.exporting("", 1, "nobody"), tracing.span("a"):
        assert not tracing.is_on()
        assert tracing.current() == ""
    assert not isinstance(for_requests("redis://127.0.0.1:1/0"), Traced)


def test_a_share_of_none_sends_nothing(collector: Collector) -> None:
    with tracing.exporting(collector.url, 0, "share"), tracing.span("a"):
        assert tracing.current() == ""
    assert kept(collector) == []


def test_an_error_leaves_its_type_and_not_its_message(collector: Collector) -> None:
    with (
        tracing.exporting(collector.url, 1, "errors"),
        pytest.raises(ValueError, match=TEXT),
        tracing.span("outer"),
        tracing.inner("inner"),
    ):
        raise ValueError(TEXT)
    assert {span.name for span in kept(collector)} == {"outer", "inner"}
    for span in kept(collector):
        assert [one.value.string_value for one in span.attributes if one.key == "error.type"] == ["ValueError"]
    assert TEXT.encode() not in b"".join(collector.raw)


def test_what_polls_begins_no_trace_and_a_batch_stands_in_those_of_all_its_events(collector: Collector) -> None:
    parents = [f"00-{number:032x}-{number:016x}-01" for number in (1, 2)]
    with tracing.exporting(collector.url, 1, "batch"):
        with tracing.inner("poll"):
            pass
        with tracing.spans([("first", parents[0]), ("second", parents[1])]) as begun, tracing.inner("command"):
            pass
        with tracing.spans([]) as none:
            assert none == []
    found = {span.name: span for span in kept(collector)}
    assert set(found) == {"first", "second", "command"}
    assert [found[name].trace_id for name in ("first", "second")] == [n.to_bytes(16, "big") for n in (1, 2)]
    assert found["command"].parent_span_id == found["first"].span_id
    assert [one[36:52] for one in begun] == [found[name].span_id.hex() for name in ("first", "second")]


async def test_a_callers_trace_is_taken_up_and_log_lines_name_it(collector: Collector) -> None:
    told: dict[str, object] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.update(telemetry.traced(None, "", {"event": "request.failed"}))
        await Response("ok", 503)(scope, receive, send)

    with tracing.exporting(collector.url, 1, "http"):
        transport = httpx.ASGITransport(TracedRequests(app, tracing.span))
        async with httpx.AsyncClient(transport=transport, base_url="http://perch.example") as http:
            await http.get(f"/graphql?query={TEXT}", headers={"traceparent": f"00-{5:032x}-{6:016x}-01"})
    (span,) = kept(collector)
    assert (span.name, span.parent_span_id) == ("GET /graphql", (6).to_bytes(8, "big"))
    assert telemetry.traced(None, "", {}) == {}
    assert told["trace_id"] == span.trace_id.hex() == f"{5:032x}"
    assert [one.value.int_value for one in span.attributes if one.key == "http.response.status_code"] == [503]
    assert b"tweet" not in b"".join(collector.raw)

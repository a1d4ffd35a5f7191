"""Tracing: spans of what happens, sent to an OpenTelemetry collector; off unless `exporting` runs. Spans hold names,
counts and codes; never a text, an argument, an id of a person, a token.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

# A collector that is away must not hold up a process that stops.
EXPORT_SECONDS = 2
# The SDK's tracer while `exporting` runs. OpenTelemetry is imported then, and not before.
_tracer: Any = None
_NOTHING = nullcontext()
# A trace context in one line, as W3C's header `traceparent` has it.
Parent = str


def is_on() -> bool:
    """Whether anybody looks at spans."""
    return _tracer is not None


@contextmanager
def exporting(endpoint: str, share: float, service: str) -> Iterator[None]:
    """Send this share of all traces to an OTLP/HTTP collector meanwhile, in batches, from a thread; what is left goes
    at the end. Without an endpoint nothing happens. The same share everywhere decides the same for each trace."""
    if not endpoint:
        yield
        return
    global _tracer
    provider = _provider(endpoint, share, service)
    _tracer = provider.get_tracer("perch")
    try:
        yield
    finally:
        _tracer = None
        provider.shutdown()


def _provider(endpoint: str, share: float, service: str) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    ratio = TraceIdRatioBased(share)
    # A caller may say which trace a request belongs to, and not that it must be recorded.
    sampler = ParentBased(ratio, remote_parent_sampled=ratio, remote_parent_not_sampled=ratio)
    provider = TracerProvider(sampler=sampler, resource=Resource.create({"service.name": service}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS))
    )
    return provider


def span(name: str, parent: Parent = "", **attributes: str | int) -> AbstractContextManager[Any]:
    """A span around a block, under the one that is current, or under `parent`. An error leaves its type, no message."""
    if _tracer is None:
        return _NOTHING
    return _within(name, parent, attributes)


def inner(name: str, **attributes: str | int) -> AbstractContextManager[Any]:
    """A span, if there is one around it that is recorded: what polls and sweeps begins no traces."""
    return _within(name, "", attributes) if current() else _NOTHING


@contextmanager
def _within(name: str, parent: Parent, attributes: dict[str, str | int]) -> Iterator[Any]:
    from opentelemetry import trace

    begun = _begin(name, parent, attributes)
    with trace.use_span(begun, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield begun
        except BaseException as error:
            fail(begun, type(error).__name__)
            raise


def _begin(name: str, parent: Parent, attributes: dict[str, str | int], began_ns: int | None = None) -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract({"traceparent": parent}) if parent else None
    named = {key.replace("_", "."): value for key, value in attributes.items()}
    return _tracer.start_span(name, context, attributes=named, start_time=began_ns)


@contextmanager
def spans(begun: Sequence[tuple[str, Parent]]) -> Iterator[list[Parent]]:
    """Spans of (name, parent) around a block that does the work of all of them at once; gives each as a parent. What is
    done stands under the first."""
    if _tracer is None or not begun:
        yield []
        return
    others = [_begin(name, parent, {}) for name, parent in begun[1:]]
    try:
        with span(*begun[0]) as first:
            yield [as_parent(one) for one in (first, *others)]
    finally:
        for one in others:
            one.end()


def fail(span: Any, kind: str) -> None:
    """Mark a span as failed."""
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", kind)


def current() -> Parent:
    """The span that is current, for whoever goes on elsewhere; empty where none is recorded."""
    if _tracer is None:
        return ""
    from opentelemetry import trace

    return as_parent(trace.get_current_span())


def as_parent(span: Any) -> Parent:
    """A span as a parent; empty if it is not recorded."""
    found = span.get_span_context()
    if not found.is_valid or not found.trace_flags.sampled:
        return ""
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-01"


def trace_id() -> str:
    """The id of the current trace, for log lines; empty where none is recorded."""
    return current()[3:35]


def command(system: str, operation: str, target: object) -> Callable[[str], None] | None:
    """A span for a command that a driver tells of when it begins, if it belongs to any; to be called at its end with
    the kind of its error, or nothing. `target` is the collection, if it is a name at all."""
    if not current():
        return None
    attributes = {"db.system.name": system, "db.operation.name": operation}
    name = f"{system} {operation}"
    if isinstance(target, str):
        attributes["db.collection.name"], name = target, f"{name} {target}"
    begun = _tracer.start_span(name, attributes=attributes)

    def end(error: str = "") -> None:
        if error:
            fail(begun, error)
        begun.end()

    return end

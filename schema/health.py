"""Health: is the process alive, can it serve, and what does it count."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

# A probe that takes longer has failed; orchestrators give up after a second or so.
PROBE_SECONDS = 0.9
Probe = Callable[[], Awaitable[object]]
Figures = Callable[[], Awaitable[dict[str, float]]]


def routes(
    needed: Mapping[str, Probe],
    derived: Mapping[str, Probe],
    metrics: bool,
    draining: Callable[[], bool],
    figures: Figures | None = None,
) -> list[Route]:
    """/healthz, /readyz and, if asked for, /metrics. Ready means that the `needed` answer and that the process is not
    `draining`; the `derived` and the `figures` are only reported, since pages are served without them."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        names = [*needed, *derived]
        outcomes = await asyncio.gather(*(_probe(probe) for probe in [*needed.values(), *derived.values()]))
        report: dict[str, object] = dict(zip(names, outcomes, strict=True))
        if draining():
            report["draining"] = "yes"
        if figures and all(report[name] == "ok" for name in needed):
            report |= await figures()
        ready = not draining() and all(report[name] == "ok" for name in needed)
        return Response(orjson.dumps(report), 200 if ready else 503, media_type="application/json")

    async def counters(_: Request) -> Response:
        if figures:
            with suppress(Exception):  # a store is away: what is counted here is told all the same
                await asyncio.wait_for(figures(), PROBE_SECONDS)
        return Response(_told(), media_type=CONTENT_TYPE_LATEST)

    found = [Route("/healthz", healthz), Route("/readyz", readyz)]
    return [*found, Route("/metrics", counters)] if metrics else found


def _told() -> bytes:
    """What this process has counted; where several share a port, and then a folder, what all of them have, with gauges
    by pid. NOTE: of a process that died its last gauges are told until the others end."""
    shared = CollectorRegistry()
    try:
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    except ValueError:  # no folder
        return generate_latest()
    return generate_latest(shared)


async def _probe(probe: Probe) -> str:
    try:
        await asyncio.wait_for(probe(), PROBE_SECONDS)
        return "ok"
    except Exception as error:
        return type(error).__name__

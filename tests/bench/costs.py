"""What an operation costs, as it was measured: each figure with where it stands. Measures nothing.

The simulation and the capacity page reckon with these. A figure that is not found where it should stand is an error, so
that nobody reckons with one that was measured long ago and has gone.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.bench.report import KEPT
from tests.processes import ROOT

ENTRY = "CPU for one of these entries, change stream and all"


@dataclass(frozen=True, slots=True)
class Cost:
    """A figure in seconds, bytes or pieces, and where it stands."""

    value: float
    source: str


def measured() -> dict[str, Cost]:
    """All of them, by name."""
    kept = json.loads(KEPT.read_text())
    readme = (ROOT / "README.md").read_text()
    usual = _row(kept["growth"]["followees"], followees=100)
    fanout = dict(kept["fanout"]["rows"])
    entry = _numbers(
        r"worker ([\d.]+) us, Redis ([\d.]+) us", fanout["CPU for one of these entries, change stream and all"]
    )
    delivered = _numbers(r"at 10, 100 and 1,000 readers an event \| (\d+), (\d+), (\d+) us", readme)
    sockets = _numbers(r"at 1,000, 5,000 and 10,000 sockets in one process \| (\d+), (\d+), (\d+) KB", readme)
    (storm,) = _numbers(r"5,000 sockets of a killed server caught up on another, .* \| ([\d.]+) s", readme)
    (hop,) = _numbers(r"sent to its live event received, median of 200 in turn \| (\d+) ms", readme)
    pages, cold, sizes = kept["sizes"]["pages"], kept["sizes"]["cold"], kept["sizes"]["timelines"]
    documents = {row["what"]: row["document"] + row["indexes"] for row in kept["sizes"]["documents"]}
    stream = kept["sizes"]["stream"]
    return {
        "read: server": Cost(_asked(kept, "homeTimeline") / 1e3, "requests, homeTimeline at 32 connections"),
        "read: MongoDB": Cost(usual["mongodb"] / 1e3, "growth, 100 followees"),
        "read: Redis": Cost(usual["redis"] / 1e3, "growth, 100 followees"),
        "write: server": Cost(_asked(kept, "postTweet") / 1e3, "requests, postTweet at 32 connections"),
        "rebuild: server": Cost(cold["process_ms"] / 1e3, "sizes, cold"),
        "rebuild: MongoDB": Cost(cold["mongodb_ms"] / 1e3, "sizes, cold"),
        "rebuild: Redis": Cost(cold["redis_ms"] / 1e3, "sizes, cold"),
        "entry: worker": Cost(entry[0] / 1e6, "fanout, change stream and all"),
        "entry: Redis": Cost(entry[1] / 1e6, "fanout, change stream and all"),
        "delivery: server": Cost(delivered[1] / 1e6, "README, 100 readers an event"),
        "reconnect: server": Cost(storm / 5000, "README, 5,000 sockets caught up"),
        "hop": Cost(hop / 1e3, "README, from postTweet to its event with nobody else there"),
        "top user on a page: server": Cost(_slope(pages, "process_ms") / 1e3, "sizes, pages"),
        "top user on a page: Redis": Cost(_slope(pages, "redis_ms") / 1e3, "sizes, pages"),
        "socket: bytes": Cost(sockets[2] * 1e3, "README, 10,000 sockets"),
        "timeline: bytes": Cost(_row(sizes, cap=200)["bytes"], "sizes, timelines"),
        "present reader: bytes": Cost(stream["ev"] + stream["on"], "sizes, stream"),
        **{f"{what}: bytes": Cost(value, "sizes, documents") for what, value in documents.items()},
    }


def timeline_bytes() -> dict[int, int]:
    """Bytes of a timeline by its cap."""
    return {row["cap"]: row["bytes"] for row in json.loads(KEPT.read_text())["sizes"]["timelines"]}


def _asked(kept: Any, workload: str) -> float:
    row = _row(kept["requests"]["rows"], workload=workload, server="perch", connections=32)
    return float(row["cpu_ms"])


def _row(rows: Iterable[dict[str, Any]], **wanted: object) -> dict[str, Any]:
    (row,) = (row for row in rows if all(row[name] == value for name, value in wanted.items()))
    return row


def _slope(pages: list[dict[str, Any]], name: str) -> float:
    """What one more top user costs: from the reader of the fewest to that of the most."""
    fewest, most = pages[0], pages[-1]
    return float((most[name] - fewest[name]) / (most["pulled"] - fewest["pulled"]))


def _numbers(pattern: str, text: str) -> list[float]:
    found = re.search(pattern, text)
    assert found, pattern
    return [float(one.replace(",", "")) for one in found.groups()]

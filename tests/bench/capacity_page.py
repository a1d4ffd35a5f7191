"""The page of capacity and its plots, from docs/simulation.json. Simulates nothing."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.bench import plot
from tests.bench.report import DOCS, PLOTS, fill, table

KEPT, PAGE, DRAWN = DOCS / "simulation.json", DOCS / "capacity.md", PLOTS / "simulation"
Json = Mapping[str, Any]
Part = Callable[[Json], list[str]]


def parts(kept: Json) -> dict[str, Sequence[str]]:
    """What stands between the marks of the page."""
    return {name: part(kept) for name, part in PARTS.items()}


def _costs(kept: Json) -> list[str]:
    rows = [[name, f"{cost['value']:.4g}", cost["source"]] for name, cost in kept["costs"].items()]
    return table(["what", "seconds or bytes", "measured by"], rows)


def _assumed(kept: Json) -> list[str]:
    return table(["assumed", "value"], [[name, f"{value:,g}"] for name, value in kept["assumed"].items()])


READ, VISIBLE, REST = "page, ms, p50 / p99", "visible, s, p50 / p99", ["oldest event, s", "events waiting"]
QUEUED = ["requests waiting", "over after, s"]


def _read(row: Json) -> str:
    return f"{row['read_p50_ms']:.0f} / {row['read_p99_ms']:,.0f}"


def _visible(row: Json) -> str:
    return f"{row['visible_p50_s']:.3f} / {row['visible_p99_s']:.2f}"


def _queued(row: Json) -> list[str]:
    return [f"{row['servers_waiting']:,}", f"{row['over_after_s']:.0f}"]


def _size(kept: Json) -> list[str]:
    size = kept["size"]
    return [
        f"The cell: {size['servers']} server processes of a core, one worker, one Redis, {size['reads']:,.0f} pages"
        f" and {size['writes']:.1f} tweets a second by {size['readers']:,} people: half of the servers' CPU.",
    ]


def _runs(kept: Json) -> list[str]:
    rows = [
        [name, _read(row), _visible(row), f"{row['oldest_s']:.2f}", f"{row['waiting']:,}", *_queued(row)]
        for name, row in kept["runs"].items()
    ]
    return table(["trouble", READ, VISIBLE, *REST, *QUEUED], rows)


def _loads(kept: Json) -> list[str]:
    rows = [[f"{row['load']:.0%}", _read(row), _visible(row)] for row in kept["loads"]]
    return table(["load of the servers", READ, VISIBLE], rows)


def _storms(kept: Json) -> list[str]:
    rows = [[f"{row['window']}", _read(row), *_queued(row)] for row in kept["storms"]]
    return table(["back within, s", READ, *QUEUED], rows)


def _caps(kept: Json) -> list[str]:
    rows = [[f"{row['cap']}", f"{row['bytes']:,}", f"{row['bytes'] / row['cap']:.0f}"] for row in kept["timelines"]]
    return table(["entries", "bytes", "bytes an entry"], rows)


def _knee(kept: Json) -> list[str]:
    rows = kept["knee"]["rows"]
    return table(
        list(rows[0]), [[f"{row['threshold']:,}", *(float(one) for one in list(row.values())[1:])] for row in rows]
    )


def _reckoned(which: str) -> Part:
    return lambda kept: table(["what", "from", "comes to"], kept["reckoned"][which])


PARTS: dict[str, Part] = {
    "costs": _costs,
    "assumed": _assumed,
    "size": _size,
    "runs": _runs,
    "loads": _loads,
    "storms": _storms,
    "caps": _caps,
    "knee": _knee,
    "day": _reckoned("day"),
    "concurrent": _reckoned("concurrent"),
}


def plots(kept: Json) -> dict[str, str]:
    """SVG by name."""
    runs, loads, caps, knee = kept["runs"], kept["loads"], kept["timelines"], kept["knee"]["rows"]
    seconds = list(range(1, len(runs["none"]["lag"]) + 1))
    percent = [100 * row["load"] for row in loads]
    curves = [name for name in knee[0] if name.startswith("CPU")]
    return {
        "lag": plot.curves(
            "Age of the oldest event that waits, s; trouble from second 60",
            "second",
            seconds,
            {name: row["lag"] for name, row in runs.items()},
        ),
        "queue": plot.curves(
            "Requests that wait for a server; trouble from second 60",
            "second",
            seconds,
            {name: row["queue"] for name, row in runs.items()},
        ),
        "visible": plot.curves(
            "From the write to 99 of 100 readers, ms, by load",
            "CPU of the servers that pages take, %",
            percent,
            {
                "p50": [1000 * row["visible_p50_s"] for row in loads],
                "p99": [1000 * row["visible_p99_s"] for row in loads],
            },
        ),
        "memory": plot.lines(
            "KiB of a timeline by how many entries it keeps",
            "entries",
            [row["cap"] for row in caps],
            {"KiB": [row["bytes"] / 1024 for row in caps]},
        ),
        "knee": plot.lines(
            "CPU in ms for a tweet and the pages that go with it, by threshold",
            "threshold",
            [row["threshold"] for row in knee],
            {name: [row[name] for row in knee] for name in curves},
        ),
    }


def make() -> None:
    """Write page and plots."""
    kept = json.loads(KEPT.read_text())
    PAGE.write_text(fill(PAGE.read_text(), parts(kept)))
    DRAWN.mkdir(parents=True, exist_ok=True)
    for name, svg in plots(kept).items():
        (DRAWN / f"{name}.svg").write_text(svg)

"""Figures in the documents: docs/bench.json holds what was measured, docs/figures.md and its plots are made from it.

    python -m tests.bench.report        # makes the documents again from docs/bench.json

Measures nothing. A test holds the documents against the figures, so neither is edited by hand.
"""

import json
import platform
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import plot
from tests.processes import ROOT

Json = Mapping[str, Any]
Rows = Sequence[Json]
END = "<!-- end -->"
DOCS = ROOT / "docs"
KEPT, PAGE, PLOTS = DOCS / "bench.json", DOCS / "figures.md", DOCS / "plots"
SHOWN = {
    "perch": "Perch",
    "perch-pymongo": "Perch, PyMongo",
    "floor": "Starlette + orjson",
    "rooms": "Perch's rooms",
    "yoga": "Yoga",
    "apollo": "Apollo",
    "mercurius": "Mercurius, JIT",
}


def keep(name: str, figures: Json) -> None:
    """Put one bench's figures into docs/bench.json, with where and when, and make the documents again."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    kept[name] = {"on": machine(), **figures}
    KEPT.write_text(json.dumps(rounded(kept), indent=1, ensure_ascii=False) + "\n")
    make()


def machine() -> str:
    """Where and when, in words."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S607
    cores = len(re.findall(r"^processor", Path("/proc/cpuinfo").read_text(), re.MULTILINE))
    load = Path("/proc/loadavg").read_text().split()[0]
    python = platform.python_version()
    return f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores, Python {python}, Node {node}, load {load} at the end"


def rounded(value: Any) -> Any:
    """Four digits: more of them say nothing, and every run would change them."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


def make() -> None:
    """Write the tables into the page, and the plots beside it."""
    kept = json.loads(KEPT.read_text())
    PAGE.write_text(filled(PAGE.read_text(), kept))
    PLOTS.mkdir(exist_ok=True)
    for name, svg in plots(kept).items():
        (PLOTS / f"{name}.svg").write_text(svg)


def filled(page: str, kept: Json) -> str:
    """The page with the parts between `<!-- name -->` and `<!-- end -->` made from the figures; those of a bench that
    has none yet stay as they are."""
    return fill(page, {name: part(kept[name.split()[0]]) for name, part in PARTS.items() if name.split()[0] in kept})


def fill(page: str, parts: Mapping[str, Sequence[str]]) -> str:
    """The page with these lines between `<!-- name -->` and `<!-- end -->`."""
    for name, lines in parts.items():
        head, mark, rest = page.partition(f"<!-- {name} -->\n")
        assert mark, name
        page = "\n".join([head + mark[:-1], *lines, END + rest.partition(END)[2]])
    return page


def plots(kept: Json) -> dict[str, str]:
    """SVG by name."""
    return {name: draw(kept[name.split("-")[0]]) for name, draw in DRAWN.items() if name.split("-")[0] in kept}


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table in Markdown; the first column is text, numbers have three digits."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *([_cell(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


# ---------------------------------------------------------------- requests


def _servers(rows: Rows) -> list[str]:
    return [name for name in SHOWN if any(row["server"] == name for row in rows)]


def _compared(shown: Callable[[Json], object]) -> Callable[[Json], list[str]]:
    """A table of workloads and connections against servers."""

    def cells(found: Mapping[Any, Json], *key: object) -> object:
        return shown(found[key]) if key in found else None

    def part(figures: Json) -> list[str]:
        rows: Rows = figures["rows"]
        found = {(row["what"], row["connections"], row["server"]): row for row in rows}
        servers = _servers(rows)
        asked = dict.fromkeys((row["what"], row["connections"]) for row in rows)
        lines = [[what, f"{many}", *(cells(found, what, many, one) for one in servers)] for what, many in asked]
        return table(["workload", "connections", *(SHOWN[one] for one in servers)], lines)

    return part


def _said(figures: Json) -> list[str]:
    most = max(row["client_cpu_ms"] for row in figures["rows"])
    return [
        f"{figures['on']}; medians of {figures['rounds']} rounds of {figures['seconds']} s. The client's own CPU was at"
        f" most {most:.2g} ms for an answer."
    ]


def _cpu_bars(connections: int) -> Callable[[Json], str]:
    def draw(figures: Json) -> str:
        rows = [row for row in figures["rows"] if row["connections"] == connections]
        workloads = list(dict.fromkeys(row["workload"] for row in rows))
        found = {(row["server"], row["workload"]): row["cpu_ms"] for row in rows}
        series = {SHOWN[one]: [found.get((one, name)) for name in workloads] for one in _servers(rows)}
        return plot.bars(f"CPU of the server process per answer, ms, at {connections} connections", workloads, series)

    return draw


def _listed(figures: Json) -> list[str]:
    """A list of (figure, value) that a bench put into words itself."""
    return [figures["on"] + ".", "", *table(["figure", "here"], figures["rows"])]


# ---------------------------------------------------------------- growth

COSTS = {"server": "Perch", "mongodb": "MongoDB", "redis": "Redis"}


def _grown(name: str, x: str, cold: bool) -> Callable[[Json], list[str]]:
    """A table of what a page costs each process, and how long it takes."""
    head = [x, *(f"CPU of {process}, ms" for process in COSTS.values()), "median, ms", *(["cold, ms"] if cold else [])]

    def part(figures: Json) -> list[str]:
        columns = [*COSTS, "took_ms", *(["cold_ms"] if cold else [])]
        return table(head, [[f"{row[x]:,}", *(float(row[one]) for one in columns)] for row in figures[name]])

    return part


def _by_tweets(figures: Json) -> list[str]:
    """A table of the reads that are asked most against the number of tweets."""
    reads = ("home", "profile", "search")
    head = ["tweets", *(f"{read}: {of}" for read in reads for of in ("Perch, ms", "MongoDB, ms", "median, ms"))]
    columns = [f"{read}_{of}" for read in reads for of in ("server", "mongodb", "took_ms")]
    rows = [[f"{row['tweets']:,}", *(float(row[one]) for one in [*columns, "cold_ms"])] for row in figures["tweets"]]
    return table([*head, "cold, ms"], rows)


def _lines(name: str, x: str, title: str, series: Mapping[str, str]) -> Callable[[Json], str]:
    def draw(figures: Json) -> str:
        rows = figures[name]
        values = {of: [row[key] for row in rows] for key, of in series.items()}
        return plot.lines(title, x, [row[x] for row in rows], values)

    return draw


# By the mark in the page: its bench is the first word.
PARTS: dict[str, Callable[[Json], list[str]]] = {
    "requests": _said,
    "requests cpu": _compared(lambda row: float(row["cpu_ms"])),
    "requests rate": _compared(lambda row: round(row["per_second"])),
    "requests times": _compared(lambda row: f"{_cell(float(row['p50_ms']))} / {_cell(float(row['p99_ms']))}"),
    "requests memory": _compared(lambda row: round(row["rss_mb"])),
    "fanout": _listed,
    "scripts": _listed,
    "growth": _listed,
    "growth followees": _grown("followees", "followees", cold=True),
    "growth depth": _grown("depth", "page", cold=False),
    "growth tweets": _by_tweets,
}
DRAWN: dict[str, Callable[[Json], str]] = {
    "requests-cpu": _cpu_bars(32),
    "requests-cpu-alone": _cpu_bars(1),
    "growth-followees": _lines("followees", "followees", "CPU for a home page by followees, ms", COSTS),
    "growth-depth": _lines("depth", "page", "CPU for a home page by how deep it lies, ms", COSTS),
    "growth-tweets": _lines(
        "tweets",
        "tweets",
        "CPU of Perch for an answer by tweets in MongoDB, ms",
        {"home_server": "home page", "profile_server": "profile", "search_server": "search"},
    ),
}


if __name__ == "__main__":
    make()

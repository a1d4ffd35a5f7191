"""The page of figures says what docs/bench.json says, and the plots show it."""

import json

from tests.bench import flames, plot, report


def test_the_page_of_figures_is_made_from_what_was_measured() -> None:
    page = report.PAGE.read_text()
    assert report.filled(page, json.loads(report.KEPT.read_text())) == page


def test_the_plots_are_made_from_what_was_measured() -> None:
    drawn = report.plots(json.loads(report.KEPT.read_text()))
    assert drawn
    assert {path.stem: path.read_text() for path in report.PLOTS.glob("*.svg")} == drawn


def test_another_figure_makes_another_page_and_another_plot() -> None:
    page, kept = report.PAGE.read_text(), json.loads(report.KEPT.read_text())
    for row in kept["requests"]["rows"]:
        row["cpu_ms"] *= 3
    assert report.filled(page, kept) != page
    assert report.plots(kept) != report.plots(json.loads(report.KEPT.read_text()))


def test_a_bar_is_as_high_as_its_value() -> None:
    svg = plot.bars("title", ["a", "b"], {"one": [1.0, 2.0], "two": [None, 4.0]})
    assert svg.count("<rect") == 1 + 2 + 3  # paper, legend, bars
    assert svg.count("<svg") == svg.count("</svg>") == 1


def test_a_line_has_a_point_for_each_value() -> None:
    svg = plot.lines("title", "x", [10, 100, 1000], {"one": [1.0, 2.0, 3.0]})
    points = svg.partition('points="')[2].partition('"')[0].split()
    xs = [float(point.split(",")[0]) for point in points]
    assert len(xs) == 3
    assert abs((xs[1] - xs[0]) - (xs[2] - xs[1])) < 0.2


def test_a_sample_lies_in_the_innermost_part_that_its_stack_names() -> None:
    home = "home (resolvers/timelines.py:9);gather (asyncio/tasks.py:4)"
    raw = [
        "main (app.py:1);run (uvicorn/server.py:2);execute (graphql/execution/execute.py:3) 3",
        f"main (app.py:1);execute (graphql/execution/execute.py:3);{home} 5",
        "run (threading.py:9) 2",
    ]
    found = flames.shares(raw)
    assert {part: share for part, share in found.items() if share} == {"GraphQL": 0.3, "resolvers": 0.5, "loop": 0.2}

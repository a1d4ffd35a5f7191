"""Plots as SVG, written by hand: bars by group, and lines over a logarithmic axis. Knows nothing of what they show."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 960, 360, 60, 56, 40
# Told apart by people who see colours differently, too (Okabe and Ito's set).
COLOURS = ("#0072b2", "#999999", "#e69f00", "#cc79a7", "#009e73", "#d55e00", "#56b4e9")
Series = Mapping[str, Sequence[float | None]]


def bars(title: str, groups: Sequence[str], series: Series) -> str:
    """A group of bars for each of `groups`, one bar for each series; None leaves a gap."""
    top = _ceiling(series)
    room = (WIDTH - LEFT - 10) / len(groups)
    width = 0.8 * room / len(series)
    drawn = []
    for number, values in enumerate(series.values()):
        for group, value in enumerate(values):
            if value is not None:
                x, y = LEFT + room * (group + 0.1) + width * number, _y(value, top)
                drawn.append(_rect(x, y, width * 0.92, HEIGHT - BOTTOM - y, COLOURS[number]))
                drawn.append(_text(x + width * 0.46, y - 3, f"{value:.3g}", 9))
    labels = [_text(LEFT + room * (at + 0.5), HEIGHT - BOTTOM + 18, name) for at, name in enumerate(groups)]
    return _svg(title, top, [*_legend(series), *drawn, *labels])


def lines(title: str, x_title: str, xs: Sequence[float], series: Series) -> str:
    """A line for each series over `xs`, which are spread by their logarithm."""
    top = _ceiling(series)
    low, high = math.log(xs[0]), math.log(xs[-1])
    places = [LEFT + 40 + (math.log(x) - low) / (high - low) * (WIDTH - LEFT - 100) for x in xs]
    drawn = []
    for number, values in enumerate(series.values()):
        points = [(x, _y(value, top), value) for x, value in zip(places, values, strict=True) if value is not None]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[number]}" stroke-width="2"/>')
        for x, y, value in points:
            drawn += [_rect(x - 3, y - 3, 6, 6, COLOURS[number]), _text(x, y - 7, f"{value:.3g}", 10)]
    labels = [_text(x, HEIGHT - BOTTOM + 18, f"{value:,.0f}") for x, value in zip(places, xs, strict=True)]
    return _svg(title, top, [*_legend(series), *drawn, *labels, _text(WIDTH / 2, HEIGHT - 6, x_title)])


def curves(title: str, x_title: str, xs: Sequence[float], series: Series) -> str:
    """A line for each series over `xs`, evenly spread; no point is marked."""
    top, room = _ceiling(series), WIDTH - LEFT - 40
    places = [LEFT + (x - xs[0]) / (xs[-1] - xs[0]) * room for x in xs]
    drawn = []
    for number, values in enumerate(series.values()):
        path = " ".join(f"{x:.1f},{_y(value or 0, top):.1f}" for x, value in zip(places, values, strict=True))
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[number]}" stroke-width="1.5"/>')
    ticks = [xs[0] + (xs[-1] - xs[0]) * part / 6 for part in range(7)]
    labels = [_text(LEFT + room * part / 6, HEIGHT - BOTTOM + 18, f"{tick:,.0f}") for part, tick in enumerate(ticks)]
    return _svg(title, top, [*_legend(series), *drawn, *labels, _text(WIDTH / 2, HEIGHT - 6, x_title)])


def _ceiling(series: Series) -> float:
    """A round number above all values."""
    highest = max((value for values in series.values() for value in values if value is not None), default=1) or 1
    step: float = 10 ** math.floor(math.log10(highest))
    return math.ceil(highest / step * 2) / 2 * step


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)


def _legend(series: Series) -> list[str]:
    drawn = []
    for number, name in enumerate(series):
        drawn.append(_rect(LEFT + number * 130, 32, 10, 10, COLOURS[number]))
        drawn.append(_text(LEFT + number * 130 + 15, 41, name, anchor="start"))
    return drawn


def _svg(title: str, top: float, drawn: Sequence[str]) -> str:
    axis = []
    for part in range(5):
        value = top * part / 4
        axis.append(f'<path d="M{LEFT} {_y(value, top):.1f}H{WIDTH - 10}" stroke="#ddd"/>')
        axis.append(_text(LEFT - 6, _y(value, top) + 4, f"{value:.3g}", anchor="end"))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    # A page behind it may be dark.
    paper = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    return "\n".join([head, paper, _text(LEFT, 20, title, 14, "start"), *axis, *drawn, "</svg>\n"])


def _rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, size: int = 11, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'

"""Charts as SVG by hand: bars with a whisker from the smallest to the largest figure, and curves over sizes.

Colours follow the reader's scheme, light or dark; text is text, so that it can be searched and read aloud.
"""

import math
from collections.abc import Sequence
from html import escape

from bench.benchmarks.benchmark import Measurement

WIDTH, LEFT, RIGHT, LABEL = 760, 145, 180, 15
BAR, GAP, HEAD, FOOT = 18, 8, 26, 14
STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 } .quiet { fill: #59636e }
.bar { fill: #afb8c1 } .subject { fill: #2f6feb } .whisker { stroke: #1f2328 } .grid { stroke: #d1d9e0 }
.line { fill: none; stroke: #afb8c1; stroke-width: 2 } .line.subject { stroke: #2f6feb; fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .quiet { fill: #9198a1 }
.bar { fill: #4b535d } .subject { fill: #4c8dff } .whisker { stroke: #e6edf3 } .grid { stroke: #3d444d }
.line { stroke: #656c76 } .line.subject { stroke: #4c8dff }
}
</style>"""


def bars(lines: Sequence[Measurement]) -> str:
    """One group of bars per line of the table."""
    out: list[str] = []
    top = 0.0
    for line in lines:
        top += HEAD
        out.append(_text(0, top - 8, f"{line.title}, {line.unit}", "title"))
        most = max((max(values) for values in line.samples.values() if values), default=1.0) or 1.0
        scale = (WIDTH - LEFT - RIGHT) / most
        for name, values in line.samples.items():
            middle = top + BAR / 2
            median = line.median(name)
            kind = "bar subject" if name == line.subject else "bar"
            out.append(_text(LEFT - 8, middle + 4, name, anchor="end"))
            out.append(
                f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{median * scale:.1f}" height="{BAR}" rx="2"/>'
            )
            low, high = LEFT + min(values) * scale, LEFT + max(values) * scale
            out.append(f'<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}"/>')
            out.append(_text(max(high, LEFT) + 8, middle + 4, short(median), "quiet"))
            top += BAR + GAP
        top += FOOT
    return _svg(top, out)


def curves(lines: Sequence[Measurement]) -> str:
    """Figures over sizes, both logarithmic: a straight line is a power, its slope is written beside it."""
    height = 320.0
    names = list(dict.fromkeys(name for line in lines for name in line.samples))
    points = {name: [(line.size, line.median(name)) for line in lines if line.samples.get(name)] for name in names}
    every = [point for some in points.values() for point in some if point[0] > 0 and point[1] > 0]
    if not every:
        return _svg(HEAD, [_text(0, HEAD - 8, "nothing was measured")])
    x_low, x_high = (pick(math.log10(x) for x, _ in every) for pick in (min, max))
    y_low, y_high = math.floor(min(math.log10(y) for _, y in every)), math.ceil(max(math.log10(y) for _, y in every))

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = LEFT + (math.log10(point[0]) - x_low) / ((x_high - x_low) or 1) * (WIDTH - LEFT - RIGHT)
        y = height - 30 - (math.log10(point[1]) - y_low) / ((y_high - y_low) or 1) * (height - 30 - HEAD)
        return x, y

    out = [_text(0, 14, lines[0].unit, "title")]
    for power in range(y_low, y_high + 1):
        _, y = place((10**x_low, 10.0**power))
        out.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        out.append(_text(LEFT - 8, y + 4, short(10.0**power), "quiet", anchor="end"))
    for line in lines:
        x, _ = place((line.size, 10.0**y_low))
        out.append(_text(x, height - 10, short(line.size), "quiet", anchor="middle"))
    labels: list[tuple[float, float, str]] = []
    for name, some in points.items():
        kind = "line subject" if name == lines[0].subject else "line"
        path = "L".join("{:.1f} {:.1f}".format(*place(point)) for point in some)
        out.append(f'<path class="{kind}" d="M{path}"/>')
        x, y = place(some[-1])
        labels.append((y, x, f"{name}, slope {slope(some):+.2f}"))
    lowest = 0.0
    for y, x, text in sorted(labels):
        lowest = max(y, lowest + LABEL)  # below the label of a line that ends close by
        out.append(_text(x + 8, lowest + 4, text))
    return _svg(height, out)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line through the logarithms: 1 grows like the size, 0 does not grow."""
    logs = [(math.log10(x), math.log10(y)) for x, y in points if x > 0 and y > 0]
    if len(logs) < 2:
        return 0.0
    x_mean, y_mean = (sum(values) / len(logs) for values in zip(*logs, strict=True))
    rise: float = sum((x - x_mean) * (y - y_mean) for x, y in logs)
    return rise / (sum((x - x_mean) ** 2 for x, _ in logs) or 1.0)


def short(value: float) -> str:
    """A number for a chart."""
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(height: float, content: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}">\n'
        + "\n".join((STYLE, *content))
        + "\n</svg>\n"
    )

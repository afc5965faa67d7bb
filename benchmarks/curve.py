"""Line charts as SVG, written by hand: shares (0 to 100 %) over a number, side by side, no dependency."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, TOP = 420, 390, 60, 50
PLOT_WIDTH, PLOT_HEIGHT = 330, 220
LABEL_WIDTH = 26.0
COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8e5ea2", "#7f7f7f")
DASHES = ("none", "7 4", "2 3", "10 3 2 3", "1 5")
"""So that lines can be told apart without their colours, and where one lies on another."""


@dataclass(frozen=True, slots=True)
class Line:
    """A name and its points (x, share)."""

    name: str
    points: Sequence[tuple[float, float]]


def draw(charts: Sequence[tuple[str, str, Sequence[Line]]]) -> str:
    """One chart per (title, name of x, lines)."""
    drawn = "".join(
        f'<g transform="translate({number * WIDTH},0)">{_chart(*chart)}</g>' for number, chart in enumerate(charts)
    )
    width = WIDTH * len(charts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}"'
        f' font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{drawn}</svg>\n'
    )


def _chart(title: str, x_name: str, lines: Sequence[Line]) -> str:
    xs = sorted({x for line in lines for x, _ in line.points})
    if not xs:
        return ""
    first, span = xs[0], (xs[-1] - xs[0]) or 1.0

    def at(x: float, share: float) -> str:
        return f"{LEFT + (x - first) / span * PLOT_WIDTH:.1f},{TOP + (1 - share) * PLOT_HEIGHT:.1f}"

    parts = [f'<text x="{LEFT}" y="24" font-size="13" font-weight="bold">{escape(title)}</text>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = TOP + (1 - share) * PLOT_HEIGHT
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + PLOT_WIDTH}" y1="{y}" y2="{y}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{share:.0%}</text>')
    taken = [-LABEL_WIDTH] * 2
    for x in xs:
        place = float(at(x, 0.0).split(",")[0])
        row = next((row for row, last in enumerate(taken) if place - last >= LABEL_WIDTH), None)
        if row is None:
            continue
        taken[row] = place
        parts.append(f'<text x="{place}" y="{TOP + PLOT_HEIGHT + 16 + 11 * row}" text-anchor="middle">{x:g}</text>')
    middle = LEFT + PLOT_WIDTH / 2
    parts.append(f'<text x="{middle}" y="{TOP + PLOT_HEIGHT + 34}" text-anchor="middle">{escape(x_name)}</text>')
    for number, line in enumerate(lines):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        path = " ".join(at(x, share) for x, share in line.points)
        stroke = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{path}" fill="none" {stroke}/>')
        parts.extend(
            f'<circle cx="{point.split(",")[0]}" cy="{point.split(",")[1]}" r="3" fill="{colour}"/>'
            for point in path.split()
        )
        key_y = TOP + PLOT_HEIGHT + 54 + 16 * number
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + 30}" y1="{key_y - 4}" y2="{key_y - 4}" {stroke}/>')
        parts.append(f'<text x="{LEFT + 38}" y="{key_y}">{escape(line.name)}</text>')
    return "".join(parts)

"""A rollout's course as a picture: the canary's share over time, and what happened on the way. SVG, no dependency."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Literal

MarkKind = Literal["pass", "unknown", "fail", "page", "signed", "refused", "action"]

WIDTH, HEIGHT, LEFT, RIGHT, TOP = 960, 360, 84, 24, 44
PLOT_HEIGHT = 210
LANE_Y = TOP + PLOT_HEIGHT + 18
LANES: tuple[tuple[str, tuple[MarkKind, ...]], ...] = (
    ("gates", ("pass", "unknown", "fail")),
    ("pages", ("page",)),
    ("sign-offs", ("signed", "refused")),
    ("safe actions", ("action",)),
)
LANE_HEIGHT = 15
COLOURS: dict[MarkKind, str] = {
    "pass": "#3a7d44",
    "unknown": "#9a9a9a",
    "fail": "#b3261e",
    "page": "#c8553d",
    "signed": "#1b6ca8",
    "refused": "#b3261e",
    "action": "#8e5ea2",
}
MOST_MARKS = 200
TICKS = 6


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened. `text` is shown when the pointer rests on it."""

    at: datetime
    kind: MarkKind
    text: str


@dataclass(frozen=True, slots=True)
class Course:
    """What is drawn: the weight (percent) from each moment on, and the marks, both by ascending time."""

    title: str
    weights: Sequence[tuple[datetime, int]]
    marks: Sequence[Mark]
    begin: datetime
    end: datetime


def draw(course: Course) -> str:
    """The picture. Of more than `MOST_MARKS` marks the newest are drawn."""
    span_s = max(1.0, (course.end - course.begin).total_seconds())

    def x(at: datetime) -> float:
        share = (at - course.begin).total_seconds() / span_s
        return round(LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT - RIGHT), 1)

    parts = [f'<text x="{LEFT}" y="24" font-size="14" font-weight="bold">{escape(course.title)}</text>']
    for percent in (0, 25, 50, 75, 100):
        y = _y(percent)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{percent} %</text>')
    line = _steps([(x(at), _y(percent)) for at, percent in course.weights], x(course.end))
    parts.append(f'<polyline points="{line}" fill="none" stroke="#1b6ca8" stroke-width="2.5"/>')
    for number, (name, kinds) in enumerate(LANES):
        y = LANE_Y + number * LANE_HEIGHT
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{name}</text>')
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#eeeeee"/>')
        shown = [mark for mark in course.marks if mark.kind in kinds][-MOST_MARKS:]
        for mark in shown:
            place = f'cx="{x(mark.at)}" cy="{y}" r="4" fill="{COLOURS[mark.kind]}"'
            parts.append(f"<circle {place}><title>{escape(mark.text)}</title></circle>")
    for number in range(TICKS):
        at = course.begin + (course.end - course.begin) * number / (TICKS - 1)
        anchor = "start" if not number else "end" if number == TICKS - 1 else "middle"
        y = LANE_Y + len(LANES) * LANE_HEIGHT + 12
        parts.append(f'<text x="{x(at)}" y="{y}" text-anchor="{anchor}">{_moment(at, course.end - course.begin)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _y(percent: int) -> float:
    return TOP + (1 - percent / 100) * PLOT_HEIGHT


def _steps(points: Sequence[tuple[float, float]], end: float) -> str:
    """A weight stays until the next one: horizontal, then vertical."""
    if not points:
        return ""
    drawn = [points[0]]
    for point in points[1:]:
        drawn += [(point[0], drawn[-1][1]), point]
    return " ".join(f"{x},{y}" for x, y in [*drawn, (end, drawn[-1][1])])


def _moment(at: datetime, span: timedelta) -> str:
    if span < timedelta(hours=1):
        return f"{at:%H:%M:%S}"
    return f"{at:%a %H:%M}" if span < timedelta(days=7) else f"{at:%d %b}"

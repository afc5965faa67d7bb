"""A rollout's course as a picture that any browser opens."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from chrysalis.picture import MOST_MARKS, Course, Mark, draw

SVG = "{http://www.w3.org/2000/svg}"
BEGIN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def parsed(**changes: object) -> ElementTree.Element:
    course = Course("a <title>", [(BEGIN, 0), (BEGIN + HOUR, 30)], [], BEGIN, BEGIN + 4 * HOUR)
    given = {name: getattr(course, name) for name in Course.__slots__} | changes
    return ElementTree.fromstring(draw(Course(**given)))  # noqa: S314 - our own output


def points(picture: ElementTree.Element) -> list[tuple[float, float]]:
    line = picture.find(f".//{SVG}polyline")
    assert line is not None
    return [(float(x), float(y)) for x, y in (point.split(",") for point in line.attrib["points"].split())]


def test_a_weight_stays_until_the_next_one_and_up_to_the_end() -> None:
    """Right, up, right: never a slope, which would claim weights that never were."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points(parsed())
    assert x0 < x1 == x2 < x3
    assert y0 == y1 > y2 == y3
    assert (x1 - x0) == pytest.approx((x3 - x0) / 4, abs=0.2)


def test_marks_stand_in_the_lane_of_their_kind_in_time_and_say_what_they_are() -> None:
    marks = [Mark(BEGIN + HOUR, "fail", "errors 3 % > 2 %"), Mark(BEGIN + 2 * HOUR, "page", "errors <fires>")]
    first, second = parsed(marks=marks).findall(f".//{SVG}circle")
    assert float(first.attrib["cx"]) < float(second.attrib["cx"])
    assert float(first.attrib["cy"]) < float(second.attrib["cy"])
    assert [one.text for mark in (first, second) for one in mark] == ["errors 3 % > 2 %", "errors <fires>"]


def test_of_very_many_marks_the_newest_are_drawn() -> None:
    marks = [Mark(BEGIN + number * timedelta(seconds=1), "pass", str(number)) for number in range(3 * MOST_MARKS)]
    drawn = parsed(marks=marks).findall(f".//{SVG}circle/{SVG}title")
    assert [one.text for one in drawn] == [str(number) for number in range(2 * MOST_MARKS, 3 * MOST_MARKS)]


def test_nothing_yet_and_no_time_at_all_still_draws() -> None:
    assert "a <title>" in [one.text for one in parsed(weights=[], end=BEGIN).iter(f"{SVG}text")]

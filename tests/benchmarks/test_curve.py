"""The operating curve is a picture that any browser opens."""

from xml.etree import ElementTree

from benchmarks.curve import COLOURS, Line, draw

SVG = "{http://www.w3.org/2000/svg}"


def parsed(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)  # noqa: S314 - our own output


def test_draws_each_line_with_its_points_and_name() -> None:
    """Well-formed, one polyline per line, one circle per point, names escaped."""
    lines = [Line(f"line <{number}>", [(0.0, 0.0), (1.0, 1.0)]) for number in range(len(COLOURS) + 1)]
    picture = parsed(draw([("title", "x", lines), ("empty", "x", [])]))
    assert len(picture.findall(f".//{SVG}polyline")) == len(lines)
    assert len(picture.findall(f".//{SVG}circle")) == 2 * len(lines)
    texts = [element.text for element in picture.iter(f"{SVG}text")]
    assert "line <0>" in texts


def test_a_higher_share_is_higher_up() -> None:
    """100 % at the top of the plot, 0 % at its bottom."""
    picture = parsed(draw([("title", "x", [Line("one", [(0.0, 0.0), (1.0, 1.0)])])]))
    line = picture.find(f".//{SVG}polyline")
    assert line is not None
    start, end = (point.split(",") for point in line.attrib["points"].split())
    assert float(start[0]) < float(end[0])
    assert float(start[1]) > float(end[1])


def test_labels_that_would_overlap_are_left_out() -> None:
    """0, 0.9 and 0.95 of 60 do not fit into two rows."""
    picture = parsed(draw([("title", "x", [Line("one", [(0.0, 0.0), (0.9, 1.0), (0.95, 1.0), (60, 1.0)])])]))
    at = {element.text: float(element.attrib["y"]) for element in picture.iter(f"{SVG}text")}
    assert at["0"] == at["60"] < at["0.9"]
    assert "0.95" not in at

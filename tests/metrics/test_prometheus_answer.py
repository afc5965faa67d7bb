"""Prometheus's JSON, read: what is a full answer, and what is not."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrysalis.errors import MetricError, QueryError, SourceUnavailable
from chrysalis.metrics.prometheus_answer import Answer, check, from_result, parse


def body(kind: str, result: object, **more: object) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}, **more}).encode()


def test_values_and_times_are_kept_as_they_are() -> None:
    found = parse(200, body("matrix", [{"metric": {}, "values": [[10, "1.5"], [1.25, "NaN"], [20, "3"]]}]))
    series = found.series(unit="ms", interval_s=5)
    assert series.times_s.tolist() == [1.25, 10, 20]
    np.testing.assert_array_equal(series.values, [np.nan, 1.5, 3])
    assert (series.unit, series.interval_s) == ("ms", 5)


def test_an_infinite_value_is_a_sample_without_a_value() -> None:
    series = parse(200, body("vector", [{"metric": {}, "value": [1, "+Inf"]}])).series(unit="", interval_s=1)
    assert np.isnan(series.values).tolist() == [True]


def test_an_empty_answer_is_an_empty_series() -> None:
    assert len(parse(200, body("vector", [])).series(unit="", interval_s=1)) == 0


def test_a_scalar_is_one_sample() -> None:
    assert parse(200, body("scalar", [5, "2"])).series(unit="", interval_s=1).values.tolist() == [2]


def test_several_series_name_the_labels_in_which_they_differ() -> None:
    rows = [{"metric": {"job": "a", "pod": pod}, "value": [1, "1"]} for pod in "wxyz"]
    with pytest.raises(
        QueryError, match=r"4 series where one is expected; they differ in pod \(\{job=\"a\", pod=\"w\"\}.*1 more"
    ):
        parse(200, body("vector", rows)).series(unit="", interval_s=1)


@pytest.mark.parametrize(
    ("status", "answer", "error", "message"),
    [
        pytest.param(400, b'{"error": "parse error: x"}', QueryError, "query error: parse error: x", id="bad PromQL"),
        pytest.param(
            422, b'{"error": "too many samples"}', QueryError, "query error: too many samples", id="not executable"
        ),
        pytest.param(503, b'{"error": "timed out"}', SourceUnavailable, "answered 503: timed out", id="timed out inside"),
        pytest.param(
            502, b"<html>gateway</html>", SourceUnavailable, "answered 502: <html>gateway</html>", id="a proxy's page"
        ),
        pytest.param(404, b"", SourceUnavailable, "answered 404: an empty body", id="another server"),
        pytest.param(200, b"<html>", SourceUnavailable, "no JSON: <html>", id="no JSON"),
        pytest.param(200, b"[]", SourceUnavailable, "no Prometheus answer", id="JSON of something else"),
        pytest.param(
            200, b'{"data": {"resultType": "string", "result": [1, "x"]}}', QueryError, "is a string", id="a string"
        ),
    ],
)
def test_what_is_no_full_answer_says_so(status: int, answer: bytes, error: type[MetricError], message: str) -> None:
    with pytest.raises(error, match=message):
        parse(status, answer)


def test_a_partial_answer_is_no_answer() -> None:
    with pytest.raises(SourceUnavailable, match="in part only, with warnings: store gateway lost"):
        check(200, body("vector", [], warnings=["store gateway lost"]))


def test_a_hint_about_the_query_is_not_a_warning() -> None:
    check(200, body("vector", [], warnings=["PromQL info: metric might not be a counter"]))


def test_a_native_histogram_is_refused() -> None:
    with pytest.raises(QueryError, match="native histogram"):
        from_result([{"metric": {"le": "x"}, "histogram": [1, {}]}])


def test_rows_of_another_form_are_refused() -> None:
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        from_result([{"metric": {}, "values": [["x", "y"]]}])


def test_a_series_without_the_label_cannot_be_split() -> None:
    with pytest.raises(QueryError, match="without service"):
        from_result([{"metric": {"job": "a"}, "value": [1, "1"]}]).by_labels(["service"])


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.floats(allow_nan=False, allow_infinity=False)), unique_by=lambda p: p[0])
)
def test_pages_joined_are_the_same_as_one_page(points: list[tuple[int, float]]) -> None:
    points.sort()
    rows = [{"metric": {"a": "b"}, "values": [[time, repr(value)] for time, value in points]}]
    cut = len(points) // 2
    first, second = ([{"metric": {"a": "b"}, "values": rows[0]["values"][part]}] for part in (slice(cut), slice(cut, None)))  # type: ignore[index]
    whole = from_result(rows).series(unit="", interval_s=1)
    joined = Answer().joined(from_result(first)).joined(from_result(second)).series(unit="", interval_s=1)
    assert joined.times_s.tolist() == whole.times_s.tolist()
    assert joined.values.tolist() == whole.values.tolist() == [value for _, value in points]

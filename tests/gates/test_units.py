"""Units: exact conversions, one form back and forth, mismatches with both units."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gates.units import Quantity, UnitError, dimension, format_duration, parse_duration, show, show_pair


@pytest.mark.parametrize(
    ("written", "unit", "value"),
    [
        ("700ms", "s", 0.7),
        ("2.9%", "ratio", 0.029),
        ("0.75%", "%", 0.75),
        ("20/h", "/s", 20 / 3600),
        ("60/m", "/s", 1.0),
        ("1GiB", "B", 2.0**30),
        ("1.5GB", "MB", 1500.0),
        ("5", "anything", 5.0),
        ("-2", "", -2.0),
        ("5h/week", "h/week", 5.0),
        (3, "USD", 3.0),
    ],
)
def test_conversion_is_exact(written, unit, value):
    assert Quantity.parse(written).to(unit) == value


@pytest.mark.parametrize(
    "pair", [("1ms", "ratio"), ("1pp", "ratio"), ("1points", "pp"), ("1time", "s"), ("1USD", "EUR"), ("1x", "")]
)
def test_a_mismatch_names_both_units(pair):
    with pytest.raises(UnitError) as caught:
        Quantity.parse(pair[0]).to(pair[1])
    assert repr(pair[1]) in str(caught.value)


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["", "ms", "%", "pp", "x", "/h", "USD"]))
def test_a_quantity_reads_back_exactly(value, unit):
    adapter = TypeAdapter(Quantity)
    assert adapter.validate_json(adapter.dump_json(Quantity(value, unit))) == Quantity(value, unit)


@pytest.mark.parametrize("written", ["", "ms", "1e999", 10**400, -(10**400), math.inf, math.nan, None, True, "1 2 ms"])
def test_what_is_no_quantity_is_refused(written):
    with pytest.raises(ValueError, match="not a"):
        Quantity.parse(written)


@pytest.mark.parametrize("written", ["", "5", "5 m", "-5m", "9" * 30 + "w", "5y"])
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(written)


@given(st.integers(0, 10**9))
def test_a_duration_reads_back(seconds):
    assert parse_duration(format_duration(seconds)) == timedelta(seconds=seconds)


@given(st.floats())
def test_any_time_can_be_shown(seconds):
    assert format_duration(seconds)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.sampled_from(["ms", "ratio", ""]))
def test_a_pair_that_differs_is_shown_different(left, right, unit):
    shown = show_pair(left, right, unit)
    if unit != "ratio":
        assert (shown[0] == shown[1]) == (left == right)


def test_nothing_has_no_sign():
    assert show(-0.0, "ms") == "0 ms"


def test_a_ratio_is_shown_in_percent():
    assert show(0.0123, "ratio") == "1.23 %"


def test_the_examples_for_editors_are_quantities_of_known_units():
    schema = TypeAdapter(Quantity).json_schema()
    assert [choice["type"] for choice in schema["anyOf"]] == ["number", "string"]
    for example in schema["examples"]:
        assert dimension(Quantity.parse(example).unit) in ("time", "ratio", "rate")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "ratio", "0 %"),
        (3.0, "count", "3"),
        (237000.0, "count", "237000"),
        (12345.678, "ms", "12346 ms"),
        (9999.6, "ms", "10000 ms"),
        (1e15, "ms", "1e+15 ms"),
        (0.00001234567, "s", "1.235e-05 s"),
    ],
)
def test_values_are_shown_as_people_write_them(value, unit, text):
    assert show(value, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-90, "-1m30s"),
        (0.999, "999ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (61.23456, "1m1.235s"),
        (8 * 86400, "8d"),
        (14 * 86400, "2w"),
        (15 * 86400, "15d"),
        (1e13, "1e+13s"),
        (math.inf, "infs"),
    ],
)
def test_durations_are_shown_short(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("left", "right", "shown"),
    [
        (700.0, 700.0, ("700 ms", "700 ms")),
        (700.0012, 700.0, ("700.001 ms", "700 ms")),
        (700.0, 700.0012, ("700 ms", "700.001 ms")),
        (700.0000123, 700.0, ("700.000012 ms", "700 ms")),
        (700.00000000123, 700.0, ("700.000000001 ms", "700 ms")),
        (0.1 + 0.2, 0.3, ("0.30000000000000004 ms", "0.29999999999999999 ms")),
        (0.3, 0.1 + 0.2, ("0.29999999999999999 ms", "0.30000000000000004 ms")),
    ],
)
def test_a_pair_is_shown_with_as_many_digits_as_it_takes(left, right, shown):
    assert show_pair(left, right, "ms") == shown


@pytest.mark.parametrize(("written", "named"), [("1e999", "'1e999'"), (math.inf, "inf"), ("-1e999ms", "'-1e999ms'")])
def test_what_is_not_finite_is_named_as_it_was_written(written, named):
    with pytest.raises(ValueError, match=f"^{named} is not a finite number"):
        Quantity.parse(written)

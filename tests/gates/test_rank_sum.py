"""The rank-sum judge classifies as Kayenta's does; the samples named KAYENTA are those of Kayenta's own tests."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gates.rank_sum import Label, RankSumOptions, rank_sum_test, verdict_of
from gates.verdict import Verdict

KAYENTA_TEN = [
    *(9.7767343120109462, 10.587071850477695, 7.8375506388901766, 9.3243326886113884, 8.3774505409784421),
    *(8.9359264399606282, 8.2707663324728511, 9.7484308126716925, 11.623746715547156, 9.2753442679633942),
    *(8.1538047749171518, 10.562020975754294, 13.498135575451835, 11.054419256110332, 6.9538903590055092),
    *(12.521008342195479, 9.0216358603546443, 4.9234856699531662, 11.251360203607172, 11.598449508040337),
    *(8.435232204668182, 11.110228516867279, 10.70063380164755, 8.9212773652115249, 10.086167067942661),
    *(11.42107515483087, 9.3792347813644952, 7.7980320148552593, 10.62339807275746, 11.909642062063739),
]
KAYENTA_BASELINE = [
    *(11.1453586774086, 9.9618059885597017, 7.068574306369829, 7.3012661810483657, 9.7944630265656727),
    *(9.6037918603687302, 6.1867793350339388, 12.345599159550174, 10.371891733859533, 8.6094300785016724),
    *(9.913162673361084, 10.361375299003466, 14.206800387518818, 10.946153754753301, 10.215876627044048),
    *(11.739760899484603, 10.907627468626439, 12.823353694464775, 8.1018609771732137, 8.4981616408804932),
    *(12.113441374697231, 13.272210809932028, 10.114579381663297, 6.9463958767978067, 6.2105278541727778),
    *(10.160401684903775, 8.3457712066455461, 8.383822063895833, 7.0020205070083765, 10.755757401808442),
]
KAYENTA_TWENTY = [
    *(20.878412601720026, 21.78550581191622, 19.70828084717019, 15.859946903461562, 19.510058772176841),
    *(19.392005525270303, 22.926528314912101, 17.156530276709894, 18.655117916226171, 23.422607911610392),
    *(24.055817684156644, 22.62689958516501, 21.979472967817678, 21.659318607218694, 20.067707574072426),
    *(22.119570836305414, 16.44037132663307, 21.559622826341268, 21.000181443489218, 17.779369411412663),
    *(17.806006358943584, 18.537200618386109, 20.555550300210797, 19.552928184468378, 21.771118944087092),
    *(21.809622806176627, 20.961762909905271, 20.977571577503021, 19.106303205498794, 16.976918966987078),
]
AS_KAYENTA_TESTS: dict[str, Any] = {"tolerance": 0.10, "confidence": 0.95}
NAN = math.nan


@pytest.mark.parametrize(
    ("experiment", "control", "options", "label"),
    [
        (KAYENTA_TEN, KAYENTA_BASELINE, {}, Label.PASS),
        (KAYENTA_TWENTY, KAYENTA_BASELINE, {}, Label.HIGH),
        (KAYENTA_TEN, KAYENTA_TWENTY, {}, Label.LOW),
        (KAYENTA_TEN, KAYENTA_TWENTY, {"worse": "higher"}, Label.PASS),
        (KAYENTA_TWENTY, KAYENTA_BASELINE, {"worse": "lower"}, Label.PASS),
        (KAYENTA_TWENTY, KAYENTA_BASELINE, {"worse": "higher"}, Label.HIGH),
        (KAYENTA_TEN, KAYENTA_TWENTY, {"worse": "lower"}, Label.LOW),
        ([1.0, 1.0, 1.0], [1.0, 1.0], {}, Label.PASS),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 4.0, 3.0, 2.0, 1.0], {}, Label.PASS),
        ([0.0, 1.0, 1.0, 1.0, 1.0], [1.0] * 5, {"worse": "lower"}, Label.PASS),
        ([], [1.0, 2.0, 3.0], {}, Label.NODATA),
        ([1.0, 2.0, 3.0], [], {}, Label.NODATA),
        ([1.0, 2.0, 3.0], [NAN] * 9, {}, Label.NODATA),
        ([math.inf] * 9, [1.0, 2.0, 3.0], {"nan": "replace"}, Label.NODATA),
        ([1e308] * 9, [-1e308] * 9, {}, Label.ERROR),
        ([], [1.0], {"must_have_data": True}, Label.NODATA_FAIL_METRIC),
        ([], [1.0], {"must_have_data": True, "critical": True}, Label.NODATA),
        ([2.0] * 9, [1.0] * 9, {}, Label.HIGH),
        ([1.0] * 9, [2.0] * 9, {}, Label.LOW),
        ([2.0], [1.0], {}, Label.ERROR),
        (KAYENTA_TWENTY, KAYENTA_BASELINE, {"allowed_increase": 2.0}, Label.HIGH),
        (KAYENTA_TWENTY, KAYENTA_BASELINE, {"allowed_increase": 2.1}, Label.PASS),
        (KAYENTA_TEN, KAYENTA_TWENTY, {"allowed_decrease": 0.49}, Label.LOW),
        (KAYENTA_TEN, KAYENTA_TWENTY, {"allowed_decrease": 0.47}, Label.PASS),
        (KAYENTA_TWENTY, KAYENTA_BASELINE, {"effect_size": "cles"}, Label.HIGH),
        (KAYENTA_TWENTY, KAYENTA_BASELINE, {"effect_size": "cles", "allowed_increase": 1.0}, Label.HIGH),
        (KAYENTA_TEN, KAYENTA_BASELINE, {"effect_size": "cles", "tolerance": 0.0}, Label.PASS),
        (KAYENTA_TEN, KAYENTA_TWENTY, {"effect_size": "cles", "allowed_decrease": 0.0}, Label.LOW),
    ],
)
def test_classifies_as_kayenta(experiment: list[float], control: list[float], options: dict[str, Any], label: Label) -> None:
    """Label for label."""
    result = rank_sum_test(np.array(control), np.array(experiment), RankSumOptions(**{**AS_KAYENTA_TESTS, **options}))
    assert result.label is label


def test_tolerance_is_a_share_of_the_estimate() -> None:
    """The interval must lie beyond tolerance times the Hodges-Lehmann estimate, not just beyond zero."""
    control, experiment = np.array(KAYENTA_BASELINE), np.array(KAYENTA_BASELINE) + 1.7
    result = rank_sum_test(control, experiment, RankSumOptions(tolerance=0.0))
    at_limit = result.lower / result.estimate
    assert result.label is Label.HIGH
    assert rank_sum_test(control, experiment, RankSumOptions(tolerance=at_limit - 1e-6)).label is Label.HIGH
    assert rank_sum_test(control, experiment, RankSumOptions(tolerance=at_limit + 1e-6)).label is Label.PASS


@pytest.mark.parametrize(
    ("experiment", "options", "critical"),
    [
        (KAYENTA_TWENTY, {}, False),
        (KAYENTA_TWENTY, {"critical": True}, True),
        (KAYENTA_TWENTY, {"critical": True, "critical_increase": 2.0}, True),
        (KAYENTA_TWENTY, {"critical": True, "critical_increase": 2.5}, False),
        ([value / 2 for value in KAYENTA_BASELINE], {"critical": True, "critical_decrease": 0.4}, False),
        ([value / 2 for value in KAYENTA_BASELINE], {"critical": True, "critical_decrease": 0.6}, True),
        ([2 * value for value in KAYENTA_BASELINE], {"critical": True, "critical_increase": 2.0}, True),
        ([value / 2 for value in KAYENTA_BASELINE], {"critical": True, "critical_decrease": 0.5}, True),
        (KAYENTA_TEN, {"critical": True}, False),
        ([], {"critical": True}, True),
    ],
)
def test_a_critical_metric_fails_critically_beyond_its_critical_effect(
    experiment: list[float], options: dict[str, Any], critical: bool
) -> None:
    """criticalIncrease and criticalDecrease decide whether the whole canary fails."""
    result = rank_sum_test(np.array(KAYENTA_BASELINE), np.array(experiment), RankSumOptions(**options))
    assert result.critical is critical


def test_an_effect_that_cannot_be_computed_is_ignored() -> None:
    """A mean of zero gives no ratio; Kayenta then decides by the interval alone."""
    control, experiment = np.array([-1.0, 1.0] * 10), np.array([9.0, 11.0] * 10)
    result = rank_sum_test(control, experiment, RankSumOptions(allowed_increase=100.0))
    assert math.isnan(result.mean_ratio)
    assert result.label is Label.HIGH


@pytest.mark.parametrize(("nan", "n", "mean_ratio"), [("remove", 10, 1.5), ("replace", 20, 0.75)])
def test_nan_is_removed_or_replaced_by_zero(nan: Any, n: int, mean_ratio: float) -> None:
    """Kayenta's two strategies."""
    experiment = np.array([3.0, NAN] * 10)
    result = rank_sum_test(np.full(20, 2.0), experiment, RankSumOptions(nan=nan))
    assert (result.n_experiment, result.mean_ratio) == (n, mean_ratio)


def test_outliers_are_left_out_when_asked() -> None:
    """Beyond the quartiles by three interquartile ranges and beyond the 99th percentile."""
    experiment = np.array([*KAYENTA_BASELINE, 1e6])
    kept = rank_sum_test(np.array(KAYENTA_BASELINE), experiment, RankSumOptions(outlier_factor=3.0))
    assert kept.n_experiment == len(KAYENTA_BASELINE)
    assert rank_sum_test(np.array(KAYENTA_BASELINE), experiment).n_experiment == len(KAYENTA_BASELINE) + 1


def test_outlier_limits_are_kayentas_percentiles() -> None:
    """The lower of the 1st percentile and Q1 - factor IQR, the higher of the 99th and Q3 + factor IQR, inclusive."""
    values = np.arange(101.0)
    at_limits = rank_sum_test(values, np.append(values, [150.0, -50.0]), RankSumOptions(outlier_factor=0.94))
    assert at_limits.n_experiment == 101
    inside = np.append(values, [140.0, -40.0])
    assert rank_sum_test(values, inside, RankSumOptions(outlier_factor=1.3)).n_experiment == 103
    assert rank_sum_test(values, values, RankSumOptions(outlier_factor=1e-9)).n_experiment == 99
    for high, kept in ((126.0, 102), (127.0, 101)):
        assert rank_sum_test(values, np.append(values, high), RankSumOptions(outlier_factor=1.0)).n_experiment == kept


@pytest.mark.parametrize(("measure", "none"), [("cles", 0.5), ("mean_ratio", 1.0)])
def test_no_effect_is_the_limit_where_none_is_set(measure: Any, none: float) -> None:
    """A half of the pairs, or equal means."""
    assert RankSumOptions(effect_size=measure).limit("allowed_increase") == none
    assert RankSumOptions(effect_size=measure, critical_decrease=0.2).limit("critical_decrease") == 0.2


def test_result_of_identical_sides() -> None:
    """Kayenta's ratio of 1, and no shift."""
    result = rank_sum_test(np.array([1.0, 2.0]), np.array([2.0, 1.0]), RankSumOptions(critical=True))
    assert result.as_json() == {
        "label": "Pass",
        "reason": "both sides hold the same values",
        "critical": False,
        "estimate": 0.0,
        "lower": 0.0,
        "upper": 0.0,
        "p_value": 1.0,
        "mean_ratio": 1.0,
        "effect_size": None,
        "n_control": 2,
        "n_experiment": 2,
    }


def test_result_of_a_shift() -> None:
    """Everything that was computed, by name."""
    result = rank_sum_test(np.arange(1.0, 11.0), np.arange(21.0, 31.0), RankSumOptions(effect_size="cles"))
    assert (result.label, result.estimate, result.lower, result.upper) == (Label.HIGH, 20.0, 16.0, 24.0)
    assert (result.mean_ratio, result.effect_size) == (pytest.approx(25.5 / 5.5), 1.0)
    assert (result.n_control, result.n_experiment) == (10, 10)
    assert result.p_value < 0.001
    assert result.reason == "the shift 20 has the limits 16 and 24"


@pytest.mark.parametrize(
    ("control", "experiment", "reason"),
    [
        ([], [1.0], "no data of the control"),
        ([1.0], [], "no data of the experiment"),
        ([1.0], [2.0], "one sample a side cannot be ranked"),
        ([1e308] * 9, [-1e308] * 9, "the values are too large to subtract from each other"),
        ([-1.7e308, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 1.7e308], "the values are too large to subtract from each other"),
        ([1.7e308, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, -1.7e308], "the values are too large to subtract from each other"),
    ],
)
def test_says_why_there_is_no_label(control: list[float], experiment: list[float], reason: str) -> None:
    """With the sizes, critical where the metric is, and without a warning of numpy's."""
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        result = rank_sum_test(np.array(control), np.array(experiment), RankSumOptions(critical=True))
    assert (result.reason, result.critical) == (reason, True)
    assert (result.n_control, result.n_experiment) == (len(control), len(experiment))


def test_small_integers_and_none_are_numbers_too() -> None:
    """Arrays as they come: bytes do not wrap around, None is a missing value."""
    fewer, more = np.arange(10, dtype=np.uint8), np.arange(200, 210, dtype=np.uint8)
    assert rank_sum_test(more, fewer).estimate == -200.0
    holes: Any = np.array([None, *KAYENTA_TEN], dtype=object)
    assert (
        rank_sum_test(np.array(KAYENTA_BASELINE), holes).as_json()
        == rank_sum_test(np.array(KAYENTA_BASELINE), np.array(KAYENTA_TEN)).as_json()
    )


any_number = st.floats(allow_nan=True, allow_infinity=True)
any_samples = st.lists(any_number | st.just(0.0) | st.just(1e308) | st.just(-1e308), max_size=40)


@settings(max_examples=200, deadline=None)
@given(
    control=any_samples,
    experiment=any_samples,
    nan=st.sampled_from(["remove", "replace"]),
    outlier_factor=st.none() | st.just(3.0),
)
def test_no_samples_at_all_raise_or_pass_without_evidence(
    control: list[float], experiment: list[float], nan: Any, outlier_factor: float | None
) -> None:
    """Whatever is in the arrays there is a label, and Pass only with a finite sample on each side."""
    options = RankSumOptions(nan=nan, outlier_factor=outlier_factor)
    result = rank_sum_test(np.array(control), np.array(experiment), options)
    if result.label is Label.PASS:
        assert np.isfinite(control).any()
        assert np.isfinite(experiment).any()
    result.as_json()


@pytest.mark.parametrize(
    ("label", "verdict"),
    [
        (Label.PASS, Verdict.PASS),
        (Label.HIGH, Verdict.FAIL),
        (Label.LOW, Verdict.FAIL),
        (Label.NODATA, Verdict.INCONCLUSIVE),
        (Label.NODATA_FAIL_METRIC, Verdict.INCONCLUSIVE),
        (Label.ERROR, Verdict.INCONCLUSIVE),
    ],
)
def test_every_label_has_a_verdict(label: Label, verdict: Verdict) -> None:
    """Only Pass passes, only High and Low fail."""
    assert verdict_of(label) is verdict


@pytest.mark.parametrize(
    ("one", "other", "label"), [(KAYENTA_BASELINE, KAYENTA_TEN, Label.PASS), (KAYENTA_BASELINE, KAYENTA_TWENTY, Label.HIGH)]
)
@pytest.mark.parametrize("tolerance", [0.0, 0.25, 0.9])
def test_the_sides_exchanged_give_the_label_mirrored(
    one: list[float], other: list[float], label: Label, tolerance: float
) -> None:
    """High one way is Low the other way, and what is tolerated is tolerated both ways."""
    mirrored = {Label.HIGH: Label.LOW, Label.LOW: Label.HIGH, Label.PASS: Label.PASS}
    options = RankSumOptions(tolerance=tolerance)
    there = rank_sum_test(np.array(one), np.array(other), options).label
    assert rank_sum_test(np.array(other), np.array(one), options).label is mirrored[there]
    assert tolerance != 0.25 or there is label

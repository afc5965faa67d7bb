"""`chrysalis judge`: the formats that are documented, and one line for whatever is wrong."""

import json
import math
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chrysalis.errors import ChrysalisError
from chrysalis.judge_data import parse_measurements
from gates.conditions import GateSpec, judge_gate
from gates.verdict import Verdict
from tests.gates.strategies import EVERY_KIND

NOW = 1_800_000_000
SLOW = {"threshold": {"metric": "p99", "at_most": "700ms"}}


def minutes(values, *, now=NOW):
    """A sample a minute, the newest at now."""
    return [[now - 60 * (len(values) - 1 - index), value] for index, value in enumerate(values)]


def p99(*values, **more):
    return {"p99": {"unit": "ms", "canary": minutes(values), **more}}


@pytest.mark.parametrize(
    ("values", "verdict", "reason"),
    [
        ([500], "PASS", "1 of 1 passed"),
        ([812], "FAIL", "0 of 1 passed: p99 812 ms > at most 700 ms"),
        ([500, None], "INCONCLUSIVE", "0 of 1 passed: p99: the newest sample has no value (NaN)"),
        ([], "INCONCLUSIVE", "0 of 1 passed: p99: no samples"),
    ],
    ids=["passes", "fails", "null", "empty"],
)
def test_a_gate_answers_with_verdict_findings_and_numbers(judge, values, verdict, reason):
    ended = judge.gate([SLOW], p99(*values), "--now", str(NOW), "--json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.answer["verdict"] == verdict
    assert ended.answer["reason"] == reason
    assert ended.answer["now"] == NOW
    (finding,) = ended.answer["findings"]
    assert finding["verdict"] == verdict
    assert finding["numbers"] == ({"value": values[-1], "limit": 700.0} if verdict != "INCONCLUSIVE" else {})
    assert ended.answer["problems"] == []


@pytest.mark.parametrize(
    "spec",
    [
        [SLOW],
        {"all": [SLOW]},
        SLOW,
        {"gate": {"name": "fast", "within": "1d", "all": [SLOW]}},
        {"any": [SLOW, {"exists": {"metric": "p99"}}]},
        "- threshold: {metric: p99, at_most: 700ms}\n",
    ],
    ids=["list", "all", "one condition", "step of a plan", "combination", "yaml"],
)
def test_a_gate_may_be_written_in_every_way_a_plan_does(judge, spec):
    assert judge.gate(spec, p99(500), "--now", str(NOW), "--json").answer["verdict"] == "PASS"


def test_a_gate_of_a_metric_that_is_not_there_is_inconclusive_and_says_so(judge):
    answer = judge.gate([{"threshold": {"metric": "p98", "at_most": 1}}], p99(500), "--now", str(NOW), "--json").answer
    assert answer["verdict"] == "INCONCLUSIVE"
    assert answer["reason"].endswith("p98: not measured")
    assert answer["problems"] == ["unknown metric 'p98'; the plan defines p99"]


def test_times_in_milliseconds_are_judged_and_doubted(judge):
    late = {"p99": {"unit": "ms", "canary": minutes([500], now=NOW * 1000)}}
    answer = judge.gate([SLOW], late, "--json").answer
    assert answer["problems"] == ["p99.canary: found the time 1800000000000, expected unix seconds; are these milliseconds?"]


def test_a_unit_that_does_not_fit_is_inconclusive_and_a_problem(judge):
    answer = judge.gate([{"threshold": {"metric": "p99", "at_most": "2%"}}], p99(500), "--now", str(NOW), "--json").answer
    assert answer["verdict"] == "INCONCLUSIVE"
    assert "the metric is in 'ms' (time)" in answer["problems"][0]


def test_now_is_the_newest_sample_where_it_is_left_out_and_may_be_written_as_a_date(judge):
    assert judge.gate([SLOW], p99(500), "--json").answer["now"] == NOW
    assert judge.gate([SLOW], p99(500), "--now", "2027-01-15T08:00:00Z", "--json").answer["now"] == NOW


@pytest.mark.parametrize(
    ("spec", "data", "verdict"),
    [
        ({"metric": "m", "against": "stable", "at_most": 1}, {"canary": [[NOW, 5]], "stable": [[NOW, 1]]}, "FAIL"),
        ({"metric": "m", "against": "stable", "at_most": 1}, {"canary": [[NOW, 5]]}, "INCONCLUSIVE"),
        ({"metric": "m", "against": "stable", "at_most": 1}, {"all": [[NOW, 5]]}, "INCONCLUSIVE"),
        (
            {"metric": "m", "against": "baseline:old", "at_most": 1},
            {"all": [[NOW, 5]], "baselines": {"old": [[9, 5]]}},
            "PASS",
        ),
        ({"metric": "m", "against": "1h ago", "at_most": 1}, {"all": [[NOW - 3600, 1], [NOW, 5]]}, "FAIL"),
        ({"metric": "m", "target": 5, "within": 1, "side": "all"}, {"canary": [[NOW, 5]]}, "PASS"),
        ({"metric": "m", "target": 5, "within": 1}, {"stable": [[NOW, 5]]}, "INCONCLUSIVE"),
        ({"metric": "m", "target": 5, "within": 1, "side": "all"}, {"stable": [[NOW, 5]]}, "INCONCLUSIVE"),
    ],
    ids=["sides", "no stable", "all is not stable", "baseline", "ago", "one is all", "stable is not canary", "nor all"],
)
def test_which_series_a_condition_is_given(judge, spec, data, verdict):
    answer = judge.gate([{"comparison": spec}], {"m": data}, "--now", str(NOW), "--json").answer
    assert answer["verdict"] == verdict, answer["reason"]


def test_the_spacing_of_samples_is_the_median_unless_it_is_said(judge):
    held = [{"threshold": {"metric": "p99", "at_most": "700ms", "held": "10m"}}]
    gap = p99(*[500] * 20)
    gap["p99"]["canary"] = [row for row in gap["p99"]["canary"] if row[0] != NOW - 240]
    assert judge.gate(held, gap, "--json").answer["verdict"] == "PASS"
    gap["p99"]["interval_s"] = 30
    assert judge.gate(held, gap, "--json").answer["verdict"] == "INCONCLUSIVE"


def test_words_are_given_as_words(judge):
    data = {"mode": {"unit": "category", "canary": [[NOW - 60, None], [NOW, "full"]]}}
    assert judge.gate([{"category": {"metric": "mode", "is": "full"}}], data, "--json").answer["verdict"] == "PASS"


@pytest.mark.parametrize(("values", "code"), [([500], 0), ([None], 3), ([900], 4)])
def test_the_exit_code_says_the_verdict_only_when_asked(judge, values, code):
    assert judge.gate([SLOW], p99(*values), "--now", str(NOW), "--exit-code").code == code
    assert judge.gate([SLOW], p99(*values), "--now", str(NOW)).code == 0


def test_without_json_a_gate_is_a_line_a_finding(judge):
    spec = [SLOW, {"threshold": {"name": "watch", "metric": "p99", "at_most": "1ms", "mode": "warn"}}]
    assert judge.gate(spec, p99(500)).out.splitlines() == [
        "PASS: 1 of 1 passed",
        "  PASS         p99 500 ms <= 700 ms",
        "  FAIL         watch: p99 500 ms > at most 1 ms [warn]",
    ]


BREACH = {"when": {"threshold": {"metric": "p99", "above": "700ms"}}, "for": "2m"}


def test_a_trigger_lists_every_evaluation_with_its_state(judge):
    ended = judge.trigger(BREACH, p99(1, 900, 900, None, 900, 900, 1), "--every", "1m", "--json")
    states = [(one["unix_s"] - NOW, one["state"], one["phase"]) for one in ended.answer["evaluations"]]
    assert states == [
        (-360, "inactive", "inactive"),
        (-300, "pending", "pending"),
        (-240, "pending", "pending"),
        (-180, "no_data", "pending"),
        (-120, "firing", "firing"),
        (-60, "firing", "firing"),
        (0, "inactive", "inactive"),
    ]
    assert ended.answer["fired"] is True
    assert ended.answer["first_firing"] == NOW - 120
    assert ended.answer["every_s"] == 60


def test_a_trigger_keeps_firing_without_data_and_says_both(judge):
    answer = judge.trigger({**BREACH, "for": 0}, p99(900, None), "--every", "1m", "--json").answer
    assert [(one["state"], one["phase"]) for one in answer["evaluations"]] == [("firing", "firing"), ("no_data", "firing")]


def test_a_trigger_recovers_by_its_own_condition(judge):
    recover = {"when": {"threshold": {"metric": "p99", "below": "100ms"}}, "for": "1m"}
    answer = judge.trigger({**BREACH, "for": 0, "recover": recover}, p99(900, 500, 50, 50), "--every", "1m", "--json").answer
    assert [one["state"] for one in answer["evaluations"]] == ["firing", "firing", "firing", "inactive"]


def test_evaluations_may_start_and_end_elsewhere(judge):
    span = ("--every", "30s", "--from", str(NOW - 60), "--to", str(NOW + 60))
    answer = judge.trigger(BREACH, p99(900, 900), *span, "--json").answer
    assert [one["unix_s"] - NOW for one in answer["evaluations"]] == [-60, -30, 0, 30, 60]


def test_without_json_a_trigger_is_a_line_an_evaluation(judge):
    rows = judge.trigger(BREACH, p99(900), "--every", "1m").out.splitlines()
    assert rows[0] == "threshold p99 above 700ms for 2m: notify (warning)"
    assert rows[1] == f"{NOW}.000  pending   p99 900 ms > 700 ms"


def test_rank_sum_labels_as_kayenta_does(judge):
    answer = judge.sides("rank-sum", [1, 2, 3, 4, 5] * 4, [11, 12, 13, None, 15] * 4, "--json").answer
    assert (answer["label"], answer["verdict"], answer["critical"]) == ("High", "FAIL", False)
    assert answer["numbers"]["n_experiment"] == 16
    assert answer["numbers"]["lower"] > 0


def test_rank_sum_takes_kayentas_options(judge):
    sides = ([1, 2, 3, 4, 5] * 4, [11, 12, 13, None, 15] * 4)
    label = {
        option: judge.sides("rank-sum", *sides, *option.split(), "--json").answer["label"]
        for option in ("--worse lower", "--tolerance 5", "--allowed-increase 99", "--nan replace --confidence 0.9")
    }
    assert list(label.values()) == ["Pass", "Pass", "Pass", "High"]
    assert judge.sides("rank-sum", [], [1.0], "--json").answer["label"] == "Nodata"
    assert judge.sides("rank-sum", [], [1.0], "--must-have-data", "--json").answer["label"] == "NodataFailMetric"
    assert judge.sides("rank-sum", *sides, "--critical", "--exit-code").code == 4


def test_sequential_judges_rates_with_their_requests(judge):
    control, experiment = [0.005] * 60, [0.05 + 0.001 * (i % 3) for i in range(60)]
    requests = ("--control-requests", "20000", "--experiment-requests", judge.file("n.json", [20000] * 60))
    ended = judge.sides("sequential", control, experiment, *requests, "--minimum-effect", "0.1%", "--json")
    assert ended.answer["verdict"] == "FAIL", ended.answer
    assert ended.answer["numbers"]["minimum_effect"] == pytest.approx(0.001)
    assert judge.sides("sequential", control, [], "--json").answer["verdict"] == "INCONCLUSIVE"
    assert judge.sides("sequential", control, experiment, *requests).out.startswith("FAIL: canary − stable")


@pytest.mark.parametrize(
    ("spec", "data", "more", "said"),
    [
        ([], "{}", (), "spec.yaml: holds no condition, which decides nothing; write a list"),
        ({"all": []}, "{}", (), "spec.yaml: holds no condition"),
        (BREACH, "{}", (), "spec.yaml: is a trigger (when: ...); judge it with `chrysalis judge trigger`"),
        ("a: [", "{}", (), "spec.yaml:2:1: not YAML"),
        ("", "{}", (), "spec.yaml: "),
        ([{"thresold": {}}], "{}", (), "stable, threshold, trend; did you mean 'threshold'?"),
        (
            [{"threshold": {"metric": "m", "at_most": 1, "hold": "5m"}}],
            "{}",
            (),
            "hold: unknown field 'hold'; did you mean 'held'?",
        ),
        ([{"threshold": {"metric": "m"}}], "{}", (), "expected: exactly one of above"),
        ([SLOW], "{", (), "data.json: is not JSON"),
        ([SLOW], "[]", (), "data.json: found a list of 0"),
        ([SLOW], "null", (), "data.json: found nothing"),
        ([SLOW], {"m": 3}, (), "data.json: m: found 3"),
        ([SLOW], {"m": {"canry": []}}, (), "m: unknown field 'canry'; expected one of canary"),
        ([SLOW], {"m": {"canary": {}}}, (), "m.canary: found a mapping of 0"),
        ([SLOW], {"m": {"canary": [[1, 2, 3]]}}, (), "m.canary[0]: found a list of 3, expected [unix_s, value]"),
        ([SLOW], {"m": {"canary": [[1, "2"]]}}, (), "m.canary[0][1]: found '2', expected a number or null"),
        ([SLOW], {"m": {"canary": [[True, 2]]}}, (), "m.canary[0][0]: found True"),
        ([SLOW], {"m": {"unit": 3}}, (), "m.unit: found 3"),
        ([SLOW], {"m": {"unit": "category", "canary": [[1, 2]]}}, (), "expected a word or null"),
        ([SLOW], {"m": {"interval_s": 0, "canary": []}}, (), "m.interval_s: found 0, expected seconds above 0"),
        ([SLOW], {"m": {"baselines": []}}, (), "m.baselines: found a list of 0"),
        ([SLOW], p99(500), ("--now", "noon"), "--now: found 'noon', expected unix seconds or"),
        ([SLOW], p99(500), ("--now", "2027-01-15T08:00:00"), "without a time zone"),
        ([SLOW], p99(500), ("--now", "inf"), "which is no time"),
        ([SLOW], "{}", (), "data.json: no samples of what the gate looks at, p99 (the file has no metrics)"),
        ([SLOW], {"p98": {"canary": [[NOW, 1]]}}, (), "looks at, p99 (the file has p98); say when with --now"),
    ],
)
def test_a_wrong_gate_is_one_line(judge, spec, data, more, said):
    one_line(judge.gate(spec, data, *more), said)


@pytest.mark.parametrize(
    ("spec", "data", "more", "said"),
    [
        ({"when": "manual"}, "{}", (), "set off by a person; there is nothing to judge"),
        ({"for": "5m"}, "{}", (), "exactly one of when"),
        ({**BREACH, "fr": "5m"}, "{}", (), "fr: unknown field 'fr'; did you mean 'for'?"),
        ([SLOW], "{}", (), "spec.yaml: is a gate; judge it with `chrysalis judge gate`"),
        ("", "{}", (), "spec.yaml: is empty; write when: a condition"),
        (
            BREACH,
            p99(1),
            ("--from", str(NOW + 1)),
            "nothing to evaluate: the first evaluation, 1800000001, is after the last",
        ),
        (BREACH, "{}", (), "data.json: no samples of what the trigger looks at, p99 (the file has no metrics)"),
        (BREACH, p99(1), ("--every", "soon"), "--every: 'soon' is not a duration"),
        (BREACH, p99(1), ("--every", "0"), "--every: found '0', expected more than 0s"),
        (BREACH, p99(1), ("--from", "0"), "evaluations > at most 100000"),
    ],
)
def test_a_wrong_trigger_is_one_line(judge, spec, data, more, said):
    one_line(judge.trigger(spec, data, *more), said)


@pytest.mark.parametrize(
    ("command", "control", "more", "said"),
    [
        ("rank-sum", {"a": 1}, (), "control.json: found a mapping of 1, expected an array of numbers"),
        ("rank-sum", [[1, 2]], (), "control.json: [0]: found a list of 2"),
        ("sequential", [1], ("--minimum-effect", "-1"), "--minimum-effect: found '-1', expected more than 0"),
        ("sequential", [1], ("--minimum-effect", "5ms"), "--minimum-effect: 5ms is in 'ms' (time)"),
        ("sequential", [1], ("--control-requests", "many"), "--control-requests: found 'many', expected a number or"),
        ("sequential", [1], ("--control-requests", "9"), "--experiment-requests: is missing; requests are needed of both"),
        ("sequential", [1], ("--experiment-requests", "9"), "--control-requests: is missing"),
    ],
)
def test_wrong_sides_are_one_line(judge, command, control, more, said):
    one_line(judge.sides(command, control, [1.0], *more), said)


def test_requests_are_as_many_as_the_values(judge):
    requests = ("--control-requests", "9", "--experiment-requests", judge.file("n.json", [20, 20]))
    one_line(
        judge.sides("sequential", [1], [1.0], *requests),
        "--experiment-requests: found 2 numbers, expected 1, one for each value, or one alone",
    )


def test_what_does_not_fit_is_said_once(judge):
    ended = judge.gate([SLOW, {"threshold": {"metric": "p99", "above": 1}}], {}, "--now", str(NOW))
    assert ended.out.count("does not fit: unknown metric 'p99'") == 1


def one_line(ended, said):
    assert ended.code == 1
    assert ended.out == ""
    (line,) = ended.err.splitlines()
    assert line.startswith("chrysalis: ")
    assert said in line


def test_a_file_that_is_not_there_is_one_line(judge):
    one_line(judge.run("gate", "--spec", "/no/such", "--data", "/no/such"), "/no/such: cannot be read: No such file")


def test_it_runs_as_a_program(judge):
    files = ["--spec", judge.file("spec.yaml", [SLOW]), "--data", judge.file("data.json", p99(500))]
    command = [sys.executable, "-m", "chrysalis.cli_judge", "gate", *files, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["verdict"] == "PASS"


odd_number = st.one_of(st.none(), st.floats(), st.integers(), st.sampled_from([10**400, -(10**400), math.inf, math.nan]))
odd_rows = st.lists(st.lists(st.one_of(odd_number, st.integers(NOW - 4000, NOW)), min_size=2, max_size=2), max_size=30)
odd_json = st.recursive(
    st.one_of(odd_number, st.text(max_size=5), st.booleans()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("written", EVERY_KIND.values(), ids=EVERY_KIND.keys())
@given(
    canary=odd_rows, stable=odd_rows, unit=st.sampled_from(["", "ms", "ratio", "count"]), now_s=st.floats(allow_nan=False)
)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_numbers_raise(written, canary, stable, unit, now_s):
    measured = parse_measurements({"m": {"unit": unit, "canary": canary, "stable": stable}}, "data")
    gate = GateSpec.model_validate([written])
    found = judge_gate(gate, measured.observations(gate.needs()), now_s)
    assert found.verdict in Verdict
    assert "fault of the judge" not in found.reason


@given(written=odd_json)
@settings(max_examples=200, deadline=None)
def test_no_json_gives_anything_but_measurements_or_one_line(written):
    said = "measured"
    try:
        parse_measurements(written, "data")
    except ChrysalisError as error:
        said = str(error)
    assert len(said.splitlines()) == 1

"""`chrysalis judge`: gates, triggers and the statistical judges on measurements from a file, without any server.

The formats are in docs/judging.md. Exit codes: 0 judged, whatever the verdict; 1 the input is wrong, in one line; 2 wrong
use. With --exit-code: 0 PASS, 3 INCONCLUSIVE, 4 FAIL.
"""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from chrysalis import judge_options as options
from chrysalis.errors import ChrysalisError, MetricError, SettingsError
from chrysalis.judge_data import Measurements, read_array, read_measurements
from chrysalis.judge_spec import read_gate, read_trigger
from gates.conditions import judge_gate
from gates.observation import Need
from gates.rank_sum import EffectSize, NanStrategy, RankSumOptions, Worse, rank_sum_test, verdict_of
from gates.sequential import SequentialOptions, sequential_test
from gates.trigger import Trigger, TriggerState, step, truth_of
from gates.verdict import Finding, Verdict

app = typer.Typer(name="judge", help="Judge given measurements, without any server.", no_args_is_help=True)

MOST_EVALUATIONS = 100_000
MOST_GAP_EVALUATIONS = 4
_EXIT = {Verdict.PASS: 0, Verdict.INCONCLUSIVE: 3, Verdict.FAIL: 4}

Spec = Annotated[Path, typer.Option("--spec", help="YAML, as in a plan.")]
Data = Annotated[Path, typer.Option("--data", help="JSON: metric, side, [[unix_s, value], ...].")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="0 PASS, 3 INCONCLUSIVE, 4 FAIL.")]
Control = Annotated[Path, typer.Option("--control", help="JSON array: the stable side.")]
Experiment = Annotated[Path, typer.Option("--experiment", help="JSON array: the canary.")]


@app.command()
def gate(
    spec: Spec,
    data: Data,
    now: Annotated[str | None, typer.Option("--now", help="Unix seconds or ISO 8601; default: the newest sample.")] = None,
    *,
    as_json: AsJson = False,
    exit_code: ExitCode = False,
) -> None:
    """One gate at one moment: the verdict, each finding with its reason and numbers, and what does not fit."""
    conditions, measured = read_gate(spec), read_measurements(data)
    needs = conditions.needs()
    now_s = _newest_s(measured, needs, data) if now is None else options.time_s("--now", now)
    found = judge_gate(conditions, measured.observations(needs), now_s)
    answer = {
        "now": now_s,
        **_without_parts(found),
        "findings": [part.as_json() for part in found.parts],
        "problems": list(dict.fromkeys([*conditions.problems(measured.facts()), *measured.doubts()])),
    }
    _say(answer, _gate_text(found, answer["problems"]), as_json=as_json)
    _leave(found.verdict, exit_code)


@app.command()
def trigger(
    spec: Spec,
    data: Data,
    every: Annotated[str, typer.Option("--every", help="Time between two evaluations, such as 15s.")] = "15s",
    start: Annotated[str | None, typer.Option("--from", help="The first evaluation; default: the first sample.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="The last evaluation; default: the last sample.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """A trigger at every evaluation: inactive, pending, firing, or no_data with the phase it keeps meanwhile."""
    watched, measured = read_trigger(spec), read_measurements(data)
    every_s = options.every_s(every)
    seen = measured.span_s({need.selector.metric for need in watched.needs()})
    if seen is None and (start is None or end is None):
        asked = _named(measured, watched.needs())
        raise MetricError(f"{data}: no samples of what the trigger looks at, {asked}; say when with --from and --to")
    first_s, last_s = seen or (0.0, 0.0)
    first_s = first_s if start is None else options.time_s("--from", start)
    last_s = last_s if end is None else options.time_s("--to", end)
    evaluations = _evaluations(watched, measured, first_s=first_s, last_s=last_s, every_s=every_s)
    answer = {
        "trigger": watched.describe(),
        "every_s": every_s,
        "evaluations": evaluations,
        "fired": any(one["phase"] == "firing" for one in evaluations),
        "first_firing": next((one["unix_s"] for one in evaluations if one["phase"] == "firing"), None),
        "problems": [*watched.problems(measured.facts()), *measured.doubts()],
    }
    rows = [f"{one['unix_s']:.3f}  {one['state']:<8}  {one['reason']}" for one in evaluations]
    _say(answer, [str(answer["trigger"]), *rows, *_problem_text(answer["problems"])], as_json=as_json)


@app.command("rank-sum")
def rank_sum(
    control: Control,
    experiment: Experiment,
    *,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999999)] = 0.98,
    tolerance: Annotated[float, typer.Option(min=0, help="Share of the Hodges-Lehmann estimate.")] = 0.25,
    worse: Worse = "either",
    nan: Annotated[NanStrategy, typer.Option(help="Missing samples: left out, or taken for 0.")] = "remove",
    effect_size: EffectSize = "mean_ratio",
    allowed_increase: float | None = None,
    allowed_decrease: float | None = None,
    critical: bool = False,
    critical_increase: float | None = None,
    critical_decrease: float | None = None,
    must_have_data: bool = False,
    outlier_factor: Annotated[float | None, typer.Option(min=0)] = None,
    as_json: AsJson = False,
    exit_code: ExitCode = False,
) -> None:
    """Kayenta's Mann-Whitney judge on two arrays: Pass, High, Low, Nodata, with the interval of the shift."""
    settings = RankSumOptions(
        confidence=confidence,
        tolerance=tolerance,
        worse=worse,
        nan=nan,
        effect_size=effect_size,
        allowed_increase=allowed_increase,
        allowed_decrease=allowed_decrease,
        critical=critical,
        critical_increase=critical_increase,
        critical_decrease=critical_decrease,
        must_have_data=must_have_data,
        outlier_factor=outlier_factor,
    )
    found = rank_sum_test(read_array(control), read_array(experiment), settings)
    verdict = verdict_of(found.label)
    answer = {
        "verdict": verdict.name,
        "reason": found.reason,
        "label": found.label.value,
        "critical": found.critical,
        "numbers": found.numbers(),
    }
    _say(answer, [f"{verdict.name} ({found.label}): {found.reason}"], as_json=as_json)
    _leave(verdict, exit_code)


@app.command()
def sequential(
    control: Control,
    experiment: Experiment,
    *,
    worse: Worse = "higher",
    alpha: Annotated[float, typer.Option(min=1e-9, max=0.2, help="Chance of a wrong verdict over all looks.")] = 0.01,
    minimum_effect: Annotated[str | None, typer.Option(help="Smallest difference that matters: 0.002, 5ms, 0.1%.")] = None,
    minimum_relative_effect: Annotated[str | None, typer.Option(help="The same as a share of stable: 10%.")] = None,
    control_requests: Annotated[str | None, typer.Option(help="Requests per value: a number or a JSON array.")] = None,
    experiment_requests: Annotated[str | None, typer.Option(help="The same of the canary.")] = None,
    unit: Annotated[str, typer.Option(help="The values' unit.")] = "",
    as_json: AsJson = False,
    exit_code: ExitCode = False,
) -> None:
    """Canary against stable, valid at every look: two arrays of one value per interval, paired from their ends."""
    rates = control_requests is not None or experiment_requests is not None
    settings = SequentialOptions(
        worse=worse,
        alpha=alpha,
        minimum_effect=options.effect("--minimum-effect", minimum_effect, "ratio" if rates else unit),
        minimum_relative_effect=options.effect("--minimum-relative-effect", minimum_relative_effect, "ratio"),
        control_requests=options.requests("--control-requests", control_requests),
        experiment_requests=options.requests("--experiment-requests", experiment_requests),
    )
    stable, canary = read_array(control), read_array(experiment)
    options.requests_fit(settings, stable.size, canary.size)
    found = sequential_test(stable, canary, settings, unit=unit)
    answer = {"verdict": found.verdict.name, "reason": found.reason, "numbers": found.numbers()}
    _say(answer, [f"{found.verdict.name}: {found.reason}"], as_json=as_json)
    _leave(found.verdict, exit_code)


def _evaluations(
    spec: Trigger, measured: Measurements, *, first_s: float, last_s: float, every_s: float
) -> list[dict[str, Any]]:
    if last_s < first_s:
        raise SettingsError(f"nothing to evaluate: the first evaluation, {first_s:.0f}, is after the last one, {last_s:.0f}")
    count = math.floor((last_s - first_s) / every_s + 1e-9) + 1
    if count > MOST_EVALUATIONS:
        raise SettingsError(f"{count} evaluations > at most {MOST_EVALUATIONS}: take a longer --every, or --from and --to")
    observations = measured.observations(spec.needs())
    state, rows = TriggerState(), []
    for index in range(count):
        now_s = first_s + index * every_s
        found = spec.judge(observations, now_s)
        recovered = spec.recovered(observations, now_s)
        truth = truth_of(found)
        state = step(spec, state, truth, now_s, MOST_GAP_EVALUATIONS * every_s, recovered=recovered)
        said = "no_data" if truth is None else state.phase
        rows.append(
            {"unix_s": now_s, "state": said, "phase": state.phase, "reason": found.reason, "numbers": dict(found.numbers)}
        )
    return rows


def _newest_s(measured: Measurements, needs: tuple[Need, ...], data: Path) -> float:
    span = measured.span_s({need.selector.metric for need in needs})
    if span is None:
        raise MetricError(f"{data}: no samples of what the gate looks at, {_named(measured, needs)}; say when with --now")
    return span[1]


def _named(measured: Measurements, needs: tuple[Need, ...]) -> str:
    """What is looked at and what there is, for a name that is misspelt."""
    names = sorted({need.selector.metric for need in needs})
    return f"{', '.join(names)} (the file has {', '.join(measured.metrics) or 'no metrics'})"


def _without_parts(found: Finding) -> dict[str, object]:
    return {key: value for key, value in found.as_json().items() if key not in ("parts", "mode")}


def _gate_text(found: Finding, problems: Any) -> list[str]:
    rows = [f"{found.verdict.name}: {found.reason}"]
    for part in found.parts:
        named = f"{part.name}: " if part.name else ""
        counts = "" if part.mode == "block" else f" [{part.mode.value}]"
        rows.append(f"  {part.verdict.name:<12} {named}{part.reason}{counts}")
    return [*rows, *_problem_text(problems)]


def _problem_text(problems: Any) -> list[str]:
    return [f"  does not fit: {problem}" for problem in problems]


def _say(answer: Mapping[str, Any], text: list[str], *, as_json: bool) -> None:
    if as_json:
        # Infinities (a limit that is none, a change beyond the largest number) are not JSON.
        typer.echo(json.dumps(_finite(answer), indent=2, allow_nan=False, ensure_ascii=False))
    else:
        typer.echo("\n".join(text))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _leave(verdict: Verdict, exit_code: bool) -> None:
    if exit_code:
        raise typer.Exit(_EXIT[verdict])


def main(arguments: list[str] | None = None) -> None:
    """Run; an error that a person can mend is one line on stderr and exit code 1."""
    try:
        app(arguments)
    except ChrysalisError as error:
        sys.stderr.write(f"chrysalis: {error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()

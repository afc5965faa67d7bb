"""Asks `promtool test rules` when the exported alerts fire."""

import json
import math
import subprocess
from collections.abc import Mapping
from pathlib import Path

from chrysalis.sandbox.install import ensure_prometheus
from tests.rules.random_plans import EVERY_S, Marks

_EVERY = f"{EVERY_S:g}s"


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    program = ensure_prometheus().promtool
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=280)


def expectation(rules: Path, series: Mapping[str, Marks], firing: Mapping[int, set[str]]) -> str:
    """The test: at each evaluation exactly these triggers fire. JSON is YAML."""
    expected = [
        {
            "expr": 'sum by (trigger) (ALERTS{alertstate="firing"})',
            "eval_time": f"{index * EVERY_S:g}s",
            "exp_samples": [{"labels": f'{{trigger="{name}"}}', "value": 1} for name in sorted(names)],
        }
        for index, names in firing.items()
    ]
    inputs = [one for name, marks in series.items() for one in _input(name, marks)]
    test = {"interval": _EVERY, "input_series": inputs, "promql_expr_test": expected}
    return json.dumps({"rule_files": [str(rules)], "evaluation_interval": _EVERY, "tests": [test]})


def _input(name: str, marks: Marks) -> list[dict[str, str]]:
    """The series, and a second one that is there only where two answer."""
    first = " ".join("1" if mark == "two" else _written(mark) for mark in marks)
    if "two" not in marks:
        return [{"series": name, "values": first}]
    second = [{"two": "1", "missing": "_"}.get(str(mark), "stale") for mark in marks]
    return [{"series": f'{name}{{of="a"}}', "values": first}, {"series": f'{name}{{of="b"}}', "values": " ".join(second)}]


def _written(mark: float | str) -> str:
    if isinstance(mark, str):
        return {"missing": "_", "stale": "stale"}[mark]
    if math.isnan(mark):
        return "NaN"
    return f"{mark:+}".replace("inf", "Inf").removeprefix("+") if math.isinf(mark) else repr(mark)

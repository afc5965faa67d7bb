"""`chrysalis plan check --live`, as a release manager runs it, against a real Prometheus, PostgreSQL and HTTP service."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chrysalis.cli_plan import app
from tests.metrics.servers import Asked, Reply, closed_port, serving

HISTORY = "SELECT at, ratio FROM health WHERE at > :start ORDER BY at"
PLAN = """
chrysalis: 1
name: crystal
service: maia
sources:
  prometheus: {{prometheus: {{url: "{prometheus}", scrape_interval: 200ms}}}}
  away: {{prometheus: {{url: "{away}"}}}}
  database: {{sql: {{url: "{database}"}}}}
  survey: {{http: {{url: "{survey}"}}}}
metrics:
  m: {{{metric}}}
phases:
  - name: hybrid
    steps: [{{gate: {{name: fit, all: [{gate}]}}}}]
"""
SCRAPED = "source: prometheus, interval: 1s"
GATE = "metrics.m"
FIT = "phases.hybrid.steps.fit.conditions[0]"


@pytest.fixture
def check(urls: dict[str, str], tmp_path: Path) -> Any:
    """Checks a plan of one metric and one gate; answers with the exit code, and all that was said, without the file."""

    def run(metric: str, gate: str) -> tuple[int, list[str]]:
        def answered(_: Asked) -> Reply:
            return Reply(body=b'{"share": 61}')

        with closed_port() as port, serving(answered) as survey:
            path = tmp_path / "plan.yaml"
            filled = PLAN.format(
                **urls,
                away=f"http://127.0.0.1:{port}",
                survey=survey.url,
                metric=metric,
                gate=gate,
            )
            path.write_text(filled)
            ended = CliRunner().invoke(app, ["check", str(path), "--live"])
        said = (ended.output).replace(f"{path}: ", "")
        return ended.exit_code, re.sub(r":\d{4,5}\b", ":PORT", said).splitlines()

    return run


@pytest.mark.parametrize(
    ("metric", "gate", "says"),
    [
        pytest.param(
            f"{SCRAPED}, unit: s, query: latencey",
            "threshold: {metric: m, at_most: 700ms}",
            f"error: {GATE}: Prometheus has had no series 'latencey' in 1h, which the query names; is it misspelt?",
            id="does not exist",
        ),
        pytest.param(
            f"{SCRAPED}, unit: '', query: undefined",
            "threshold: {metric: m, at_most: 3}",
            f"error: {GATE}: no value now: its only sample is NaN; the query divides by 0, or has no input",
            id="no data now",
        ),
        pytest.param(
            f"{SCRAPED}, unit: ratio, query: 'share{{side=\"stable\"}}'",
            "threshold: {metric: m, at_least: 40%}",
            f"error: {GATE}: m is 37, above 1, which is no ratio; is it in %?",
            id="wrong magnitude",
        ),
        pytest.param(
            f"source: database, unit: ratio, interval: 1m, query: '{HISTORY}'",
            "threshold: {metric: m, above: 40%, held: 1h}",
            f"error: {FIT}: m is sampled each 5m: 1h hold 12 samples < at least 54: this could never pass;"
            " its interval says 1m",
            id="sampled too rarely",
        ),
        pytest.param(
            f"source: database, unit: ratio, interval: 5m, query: '{HISTORY}'",
            "threshold: {metric: m, at_most: 150%}",
            f"error: {FIT}: m at most 150%: in 'ratio' it lies from 0 % to 100 %, so this could never fail",
            id="could never fail",
        ),
        pytest.param(
            f"source: database, unit: ratio, interval: 5m, query: '{HISTORY}'",
            "threshold: {metric: m, above: 110%}",
            f"error: {FIT}: m above 110%: in 'ratio' it lies from 0 % to 100 %, so this could never pass",
            id="could never pass",
        ),
        pytest.param(
            "source: away, unit: ms, query: latency",
            "threshold: {metric: m, at_most: 40ms}",
            f"error: {GATE}: prometheus at http://127.0.0.1:PORT: cannot be reached"
            " (ConnectError: [Errno 111] Connection refused)",
            id="out of reach",
        ),
        pytest.param(
            "source: survey, unit: '%', query: '/answers#/chare'",
            "threshold: {metric: m, at_least: 40%}",
            f"error: {GATE}: http at http://127.0.0.1:PORT: m: query error: nothing at '/chare' of /answers"
            " (member 'chare' not found in {'share': 61})",
            id="no such member",
        ),
    ],
)
def test_one_line_says_what_is_wrong(check: Any, metric: str, gate: str, says: str) -> None:
    assert check(metric, gate) == (1, [says])


def test_a_plan_that_is_really_measured_is_sound(check: Any) -> None:
    metric, gate = f"{SCRAPED}, unit: s, query: max(latency)", "threshold: {metric: m, at_most: 700ms, held: 5s}"
    assert check(metric, gate) == (0, ["sound: 1 phase, 1 step, 0 triggers"])

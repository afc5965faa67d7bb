"""`chrysalis plan rules`: what an exported trigger says of itself, what is left out, and what the command refuses."""

from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML
from typer.testing import CliRunner

from chrysalis.errors import SettingsError
from chrysalis.plan import Plan, load_plan
from chrysalis.rules import rules, rules_yaml
from tests.rules.promtool import promtool

CHECKOUT = Path(__file__).resolve().parents[2]
CRYSTAL = CHECKOUT / "deployments" / "crystal" / "plan.yaml"
DEPLOYED = sorted(path.parent.name for path in (CHECKOUT / "deployments").glob("*/plan.yaml"))


def plan(*triggers: dict[str, Any], metrics: dict[str, Any] | None = None, **more: Any) -> Plan:
    """A plan with triggers t0, t1, ... on the metric m, in ms and with sides, and n, from a database."""
    m = {"source": "prometheus", "unit": "ms", "query": 'p99{side="{side}",service="{service}"}'}
    n = {"source": "database", "unit": "ratio", "query": "SELECT 1"}
    return Plan.model_validate(
        {
            "chrysalis": 1,
            "name": "crystal",
            "title": "Crystal Observer",
            "service": "maia",
            "sources": {
                "prometheus": {"prometheus": {"url": "http://127.0.0.1:9", "scrape_interval": "30s"}},
                "database": {"sql": {"url": "postgresql://127.0.0.1/x"}},
            },
            "metrics": {"m": m, "n": n, **(metrics or {})},
            "triggers": {f"t{index}": trigger for index, trigger in enumerate(triggers)},
            "phases": [{"name": "only", "steps": [{"soak": "1m"}], **more}],
        }
    )


def groups(text: str) -> dict[str, list[dict[str, Any]]]:
    """The rules by the name of their group."""
    return {group["name"]: group["rules"] for group in YAML(typ="safe").load(text)["groups"]}


def alert(text: str) -> dict[str, Any]:
    """The only alert."""
    (found,) = [rule for members in groups(text).values() for rule in members if "alert" in rule]
    return found


SLOW = {"when": {"threshold": {"metric": "m", "above": "0.7s"}}}


def test_an_alert_carries_severity_priority_runbook_and_for() -> None:
    written = {**SLOW, "for": "5m", "severity": "page", "priority": "P0", "runbook": "Roll back.", "respond": "roll_back"}
    found = alert(rules_yaml(plan({**written, "notify": ["oncall", "cto"]})))
    assert found["alert"] == "CrystalT0"
    assert found["labels"] == {
        "plan": "crystal",
        "interval": "15s",
        "trigger": "t0",
        "phase": "any",
        "service": "maia",
        "severity": "page",
        "priority": "P0",
    }
    assert found["annotations"] == {
        "summary": "Crystal Observer: t0",
        "description": "threshold m above 0.7s for 5m: roll back (page)",
        "runbook": "Roll back.",
        "for": "5m",
        "response": "roll_back",
        "notify": "oncall, cto",
    }
    assert found["expr"].endswith(">= 299.9995")


def test_a_query_is_asked_as_the_watch_asks_it_and_a_limit_is_in_the_metrics_unit() -> None:
    rate = {"source": "prometheus", "unit": "ms", "rate_over": "1m", "query": "rate(p99[{window}]) * {speed}"}
    found = groups(rules_yaml(plan(SLOW, {"when": {"threshold": {"metric": "r", "above": 1}}}, metrics={"r": rate})))
    exprs = [rule["expr"] for rule in found["chrysalis-crystal-15s"]]
    assert 'p99{side="canary",service="maia"}' in exprs[1]
    assert "rate(p99[120s]) * 1" in exprs[2]
    assert any(expr.endswith("> bool 700.0) or vector(-1)") for expr in exprs)


def test_a_phases_triggers_are_exported_with_their_phase() -> None:
    found = alert(rules_yaml(plan(triggers={"slow": SLOW})))
    assert (found["labels"]["trigger"], found["labels"]["phase"]) == ("slow", "only")


def test_a_window_is_evaluated_at_its_metrics_interval() -> None:
    metric = {"source": "prometheus", "unit": "ms", "query": "x", "interval": "1m"}
    mean = {"when": {"threshold": {"metric": "slow", "above": 1, "statistic": "mean", "over": "10m"}}}
    found = groups(rules_yaml(plan(SLOW, mean, metrics={"slow": metric})))
    assert list(found) == ["chrysalis-crystal-15s", "chrysalis-crystal-1m"]
    assert any("avg_over_time" in rule["expr"] and "[599999ms]" in rule["expr"] for rule in found["chrysalis-crystal-1m"])


@pytest.mark.parametrize(
    ("trigger", "reason"),
    [
        ({"when": "manual"}, "a person sets it off"),
        ({"when": {"threshold": {"metric": "n", "above": 1}}}, "n does not come from Prometheus but from database"),
        ({"when": {"threshold": {"metric": "m", "above": 1, "side": "all"}}}, "{side} has no value here"),
        ({"when": {"threshold": {"metric": "v", "above": 1}}}, "{version} has no value here"),
        ({"when": {"threshold": {"metric": "e", "above": 1}}}, "${NOT_SET} is not set"),
        ({"when": {"threshold": {"metric": "m", "above": 1, "held": "5m"}}}, "write for: instead"),
        ({"when": {"threshold": {"metric": "m", "above": 1, "stale_after": "5m"}}}, "stale_after of the newest sample"),
        ({"when": {"threshold": {"metric": "m", "above": 1, "statistic": "rate", "over": "5m"}}}, "Prometheus extrapolates"),
        ({"when": {"trend": {"metric": "m", "is": "rising", "over": "5m"}}}, "trend cannot be said in PromQL"),
        ({"when": {"comparison": {"metric": "m", "against": "baseline:old", "above": 1}}}, "the baseline old is recorded"),
        ({"when": {"count": {"metric": "m", "above": 1, "over": "5m"}}}, "whether samples cover it cannot be told"),
        ({"when": {"exists": {"metric": "m", "samples_are": "total", "over": "5m"}}}, "whether samples cover it"),
        ({"when": {"exists": {"metric": "m", "stale_after": "5m"}}}, "stale_after of the newest sample"),
        ({"when": {"product": {"metrics": ["v"], "above": 1, "stale_after": "5m"}}}, "stale_after of the newest sample"),
        ({"when": {"any": [{"rank_sum": {"metric": "m", "over": "1h"}}, *[SLOW["when"]]]}}, "ranksum cannot be said"),
        ({**SLOW, "recover": {"when": {"trend": {"metric": "m", "is": "flat", "within": 1, "over": "5m"}}}}, "trend cannot"),
        (
            {
                "when": {
                    "all": [
                        {"threshold": {"metric": "m", "above": 1, "statistic": "mean", "over": "5m"}},
                        {"threshold": {"metric": "v", "above": 1, "statistic": "mean", "over": "5m"}},
                    ]
                }
            },
            "its windows hold metrics of different intervals (15s and 30s)",
        ),
    ],
)
def test_what_promql_cannot_say_exactly_is_left_out_with_the_reason(trigger: dict[str, Any], reason: str) -> None:
    v = {"source": "prometheus", "unit": "", "interval": "30s", "query": 'x{version="{version}"}'}
    e = {"source": "prometheus", "unit": "", "query": 'x{cluster="${NOT_SET}"}'}
    text = rules_yaml(plan(SLOW, trigger, metrics={"v": v, "e": e}))
    (line,) = [line for line in text.splitlines() if line.startswith("# not exported: ")]
    assert line.startswith("# not exported: t1: ")
    assert reason in line
    assert alert(text)["labels"]["trigger"] == "t0"


def test_variables_fill_queries_and_cannot_break_out_of_a_string() -> None:
    v = {
        "source": "prometheus",
        "unit": "",
        "query": {"canary": 'x{v="{version}",c="${CLUSTER}"}', "stable": 'x{v="{version}"}'},
    }
    compared = {"when": {"comparison": {"metric": "v", "against": "stable", "above": 1}}}
    variables = {"version": '2"} or vector(1) or x{v="', "stable_version": "1", "CLUSTER": "eu"}
    exprs = [
        rule["expr"]
        for rule in groups(rules_yaml(plan(compared, metrics={"v": v}), variables=variables))["chrysalis-crystal-15s"]
    ]
    assert 'x{v="2\\"} or vector(1) or x{v=\\"",c="eu"}' in exprs[1]
    assert 'x{v="1"}' in exprs[2]


@pytest.mark.parametrize("system", DEPLOYED)
def test_a_deployed_plans_rules_are_valid_and_none_is_lost(system: str, tmp_path: Path) -> None:
    plan = load_plan(CHECKOUT / "deployments" / system / "plan.yaml").plan
    text = rules_yaml(plan)
    left_out = {line.split(": ")[1].split(".")[-1] for line in text.splitlines() if line.startswith("# not exported")}
    exported = {rule["labels"]["trigger"] for members in groups(text).values() for rule in members if "alert" in rule}
    assert exported | left_out == {name for phase in plan.phase_names for name in plan.triggers_at(phase)}
    assert exported
    assert not exported & left_out
    (tmp_path / "rules.yml").write_text(text)
    done = promtool("check", "rules", tmp_path / "rules.yml")
    assert done.returncode == 0, done.stderr


def test_a_plan_without_triggers_is_an_empty_file_that_prometheus_takes(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(rules_yaml(plan()))
    assert promtool("check", "rules", tmp_path / "rules.yml").returncode == 0


app = typer.Typer()
app.command()(rules)


def test_the_command_prints_the_rules() -> None:
    done = CliRunner().invoke(app, [str(CRYSTAL), "--every", "5s", "--set", "version=2"])
    assert done.exit_code == 0, done.output
    assert list(groups(done.output)) == ["chrysalis-crystal-5s"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--every", "soon"], "--every: 'soon' is not a duration"),
        (["--every", "0"], "--every: found '0', expected at least 1ms"),
        (["--set", "version"], "--set: found 'version', expected NAME=VALUE"),
    ],
)
def test_wrong_options_are_one_line(options: list[str], said: str) -> None:
    done = CliRunner().invoke(app, [str(CRYSTAL), *options])
    assert isinstance(done.exception, SettingsError)
    assert said in str(done.exception)

"""A plan's triggers as alerting rules in the sandbox's Prometheus, as `chrysalis plan rules` writes them."""

import os
import signal
import sys
from pathlib import Path

from chrysalis.sandbox.install import PROJECT
from chrysalis.sandbox.programs import run
from chrysalis.sandbox.sandbox import Sandbox

TIMEOUT_S = 300.0


def load_alerts(sandbox: Sandbox, plan: Path) -> None:
    """Write the rules and have Prometheus read them. Raises SettingsError."""
    told = {"PROMETHEUS_URL": sandbox.state.urls["prometheus"]}
    program = (sys.executable, "-m", "chrysalis.cli", "plan", "rules", plan)
    said = run(program, PROJECT, environment={**os.environ, **told}, timeout_s=TIMEOUT_S)
    rules = sandbox.folder / "rules"
    rules.mkdir(exist_ok=True)
    (rules / f"{plan.parent.name}.yml").write_text(said)
    os.kill(sandbox.state.pids["prometheus"], signal.SIGHUP)

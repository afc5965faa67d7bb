"""A plan's triggers as alerting rules in the sandbox's Prometheus, as `chrysalis plan rules` writes them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from chrysalis.errors import SettingsError
from chrysalis.sandbox.install import PROJECT
from chrysalis.sandbox.sandbox import Sandbox

TIMEOUT_S = 300


def load_alerts(sandbox: Sandbox, plan: Path) -> None:
    """Write the rules and have Prometheus read them. Raises SettingsError."""
    told = {"PROMETHEUS_URL": sandbox.state.urls["prometheus"]}
    program = (sys.executable, "-m", "chrysalis.cli", "plan", "rules", str(plan))
    said = subprocess.run(
        program, env={**os.environ, **told}, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=PROJECT
    )
    if said.returncode != 0:
        raise SettingsError(f"`chrysalis plan rules {plan}` ended with {said.returncode}: {said.stderr.strip()}")
    rules = sandbox.folder / "rules"
    rules.mkdir(exist_ok=True)
    (rules / f"{plan.parent.name}.yml").write_text(said.stdout)
    os.kill(sandbox.state.pids["prometheus"], signal.SIGHUP)

"""What a demo shows at its end: the figures of each rollout, from the ledger and from the load generator's own log."""

import json
from pathlib import Path
from typing import Any

from gates.units import format_duration


def summary(runs: list[dict[str, Any]]) -> str:
    """The figures, for people."""
    lines = ["", "── summary ──"]
    for run in runs:
        lines.append(f"{run['id']}: {run['outcome']} in {run['seconds']} s")
        for phase in run["phases"]:
            weights = " → ".join(f"{weight} %" for weight in phase["weights"]) or "no weight"
            lines.append(f"    {phase['name']:<11} {weights:<38} {format_duration(round(phase['seconds'], 1)):>8}")
            lines += [f"        {one['verdict']:<12} {one['name']}: {one['reason']}" for one in phase["findings"]]
        if run["breach_to_safe_ms"] is not None:
            lines.append(f"    first error at the client → last request on the canary: {run['breach_to_safe_ms']:.0f} ms")
        memory = run["memory_mb"]
        lines.append(f"    memory at most: {memory['all']} MB in all, the watch {memory['watch']} MB")
        requests = run["requests"]
        lines.append(
            f"    requests: {requests['served']} served, {requests['lost']} lost {requests['lost_by_side'] or ''}".rstrip()
        )
    return "\n".join(lines)


def write_report(runs: list[dict[str, Any]], path: Path) -> None:
    """`demo-report.json`, for programs."""
    path.write_text(json.dumps({"runs": runs}, indent=2, ensure_ascii=False) + "\n")

"""What people see in the Prefect UI beside the run tree: timeline, findings, progress, reports.

The record is the ledger; an artifact is a picture of it. So one that cannot be made is logged and nothing else happens.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.settings import get_current_settings

from gates.verdict import Finding
from tasks.step import log

_SIGN = {"PASS": "✓ pass", "INCONCLUSIVE": "… not known", "FAIL": "✗ fail"}


def artifact_key(*parts: str) -> str:
    """A key as Prefect wants it: lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def show_markdown(key: str, text: str, description: str) -> None:
    """A page of Markdown."""
    _quietly(lambda: create_markdown_artifact(markdown=text, key=key, description=description))


def show_picture(key: str, svg: str, description: str) -> None:
    """A picture, which the UI draws."""
    url = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    _quietly(lambda: create_image_artifact(image_url=url, key=key, description=description))


def show_findings(key: str, findings: Iterable[Finding], description: str) -> None:
    """A row per finding: condition, verdict, reason with both operands."""
    rows = finding_rows(findings)
    _quietly(lambda: create_table_artifact(table=rows, key=key, description=description))


def finding_rows(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as table rows, the parts of a combination below it."""
    rows = []
    for finding in findings:
        mode = "" if finding.mode.value == "block" else f" ({finding.mode.value})"
        rows.append({"condition": finding.name + mode, "verdict": _SIGN[finding.verdict.name], "reason": finding.reason})
        rows += [{**row, "condition": f"  {row['condition']}"} for row in finding_rows(finding.parts)]
    return rows


def start_progress(key: str, description: str) -> UUID | None:
    """A progress bar at 0; None when the API cannot be reached."""
    made: UUID | None = _quietly(lambda: create_progress_artifact(progress=0.0, key=key, description=description))
    return made


def set_progress(artifact: UUID | None, percent: float, description: str) -> None:
    """Move a progress bar."""
    if artifact is not None:
        _quietly(lambda: update_progress_artifact(artifact, progress=min(100.0, percent), description=description))


def findings_markdown(findings: Sequence[dict[str, Any]]) -> str:
    """Recorded findings (as JSON) as lines that read well even where Markdown is not rendered."""
    return "\n".join(
        f"- {_SIGN.get(str(one['verdict']), one['verdict'])}: {one['name'] or 'condition'}: {one['reason']}"
        for one in findings
    )


def _quietly(make: Any) -> Any:
    if get_current_settings().api.url is None:
        return None  # Prefect would start a server of its own for it
    try:
        return make()
    except Exception as error:
        log().warning("an artifact could not be made: %s", error)
        return None

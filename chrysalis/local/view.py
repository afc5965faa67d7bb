"""What a rollout is doing, while it does it: on a terminal a live panel, elsewhere a line whenever something changes."""

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chrysalis.ledger import Ledger, Rollout, Wait
from gates.units import format_duration
from tasks.workspace import plan_of

BAR_WIDTH = 30
NEWEST_FINDINGS = 6
_SIGN = {"PASS": "✓", "INCONCLUSIVE": "…", "FAIL": "✗"}


@dataclass(frozen=True, slots=True)
class Moment:
    """A picture of one rollout."""

    rollout: Rollout
    step: str
    """The step that runs or waits."""
    progress: str
    """How much of a soak was watched, or what is waited for."""
    findings: tuple[str, ...]
    """The newest findings, a line each."""


def look(ledger: Ledger, rollout_id: str) -> Moment:
    """The picture now, from the ledger alone."""
    rollout = ledger.get(rollout_id)
    journal = ledger.journal(rollout_id)
    waits = [wait for wait in ledger.waits(rollout_id) if wait.is_open]
    newest = [record for record in ledger.findings(rollout_id) if ".soak" not in record.step_id][-1:]
    lines = tuple(
        f"{_SIGN[str(one['verdict'])]} {one['name'] or 'condition'}: {one['reason']}"
        for record in newest
        for one in record.findings
    )
    return Moment(rollout, _title(rollout_id, journal[-1].step_id) if journal else "", _progress(waits), lines)


def _title(rollout_id: str, step_id: str) -> str:
    try:
        return plan_of(rollout_id).step(step_id).title
    except KeyError:
        return step_id


def _progress(waits: list[Wait]) -> str:
    for wait in waits:
        if wait.kind == "soak" and wait.needed_s:
            share = min(1.0, wait.watched_s / wait.needed_s)
            filled = int(share * 10)
            return f"soak {'█' * filled}{'░' * (10 - filled)} {share:4.0%} of {format_duration(wait.needed_s)}"
        return f"waits: {wait.detail.get('reason') or wait.detail.get('said') or wait.kind}"
    return ""


class View:
    """Shows one rollout until it is left. `show()` is called as often as one likes."""

    def __init__(self, ledger: Ledger, rollout_id: str) -> None:
        self._ledger, self._id = ledger, rollout_id
        self._console = Console(file=sys.stdout)
        self._live = Live(console=self._console, refresh_per_second=4) if self._console.is_terminal else None
        self._said: set[str] = set()
        self._began = time.monotonic()
        self._last = ""

    def show(self) -> Moment:
        """Look, and show what is new."""
        moment = look(self._ledger, self._id)
        if self._live is not None:
            self._live.update(_panel(moment))
        self._print_changes(moment)
        return moment

    def _print_changes(self, moment: Moment) -> None:
        rollout = moment.rollout
        at = f"{time.monotonic() - self._began:6.1f} s"
        line = f"{rollout.phase or '':<11} {rollout.weight_percent or 0:>3} %  {moment.step}"
        waits = moment.progress if moment.progress.startswith("waits") else ""
        said = f"{line} {waits}".rstrip()
        if said != self._last and moment.step:
            self._last = said
            self._console.print(Text(f"{at}  {said}"), soft_wrap=True)
        for finding in moment.findings:
            if finding not in self._said:
                self._said.add(finding)
                self._console.print(Text(f"{'':10}    {finding}", style="dim"), soft_wrap=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()


def _panel(moment: Moment) -> Group:
    rollout = moment.rollout
    weight = rollout.weight_percent or 0
    filled = round(weight / 100 * BAR_WIDTH)
    table = Table.grid(padding=(0, 2))
    table.add_row("rollout", f"{rollout.id}  version {rollout.version}  {rollout.state}")
    table.add_row("phase", rollout.phase or "")
    table.add_row("canary", f"{'█' * filled}{'░' * (BAR_WIDTH - filled)} {weight} %")
    table.add_row("step", moment.step)
    table.add_row("next", moment.progress)
    for finding in moment.findings[:NEWEST_FINDINGS]:
        table.add_row("", finding)
    return Group(table)

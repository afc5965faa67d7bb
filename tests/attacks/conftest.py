"""A gate that waits for signatures, with people, authenticators and keys; and a table of what was tried, at the end."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError
from chrysalis.ledger import AuditEntry, SignOff
from chrysalis.people import codes
from chrysalis.people.statement import Statement
from tasks import approve, people
from tasks.proof import Code, Offered, SshSigned
from tasks.workspace import Workspace, open_ledger
from tests.caches import forget
from tests.stack import PLANS
from tests.tasks.conftest import Bench, rollout

STEP = "some.05.sign_off"
GATE = "some.04.gate"
TEXT = (PLANS / "quick" / "plan.yaml").read_text()
RULE = "both: {roles: [devops_lead, product_owner]}"
assert RULE in TEXT
PEOPLE = """\
people:
  ci: {{roles: [ci]}}
  kim: {{roles: [manager]}}
  dmitri: {{roles: [devops_lead], ssh: "{key}"}}
  pia: {{roles: [product_owner]}}
  ada: {{roles: [devops_lead, product_owner]}}
  ravi: {{roles: [architect]}}
roles:
  ci: {{may: [start]}}
  manager: {{may: [start, measure, change_people]}}
"""
PROPERTY = "attack"


@dataclass
class Gate:
    """A rollout that waits for two signatures, and what people have to prove who they are."""

    bench: Bench
    key_file: Path
    secrets: dict[str, str]
    used: set[tuple[str, int]] = field(default_factory=set)

    def code(self, person: str, steps_off: int | None = None) -> str:
        """A code of theirs that was not used yet, or the one of so many time steps from now."""
        now_step = int(utc_now().timestamp()) // codes.STEP_S
        offsets = (0, -1, 1) if steps_off is None else (steps_off,)
        for off in offsets:
            if steps_off is not None or (person, now_step + off) not in self.used:
                self.used.add((person, now_step + off))
                return codes.code_at(
                    self.secrets[person], datetime.fromtimestamp((now_step + off) * codes.STEP_S + 1, tz=UTC)
                )
        raise AssertionError(f"no unused code of {person} is left in this window")

    def sign(self, person: str, decision: str = "approve", *, offered: Offered = None, **more: Any) -> SignOff:
        given = offered if offered is not None else Code(self.code(person)) if person in self.secrets else None
        return approve.sign(
            self.bench, more.pop("step", STEP), person, decision=decision, comment=more.pop("comment", "c"), door="ui",
            offered=given, **more,
        )  # type: ignore[arg-type]  # fmt: skip

    def statement(self, person: str, decision: str = "approve", **changes: Any) -> Statement:
        made = approve.statement_of(self.bench, person, decision, "c")  # type: ignore[arg-type]
        return replace(made, **changes)

    def ssh(self, statement: Statement, *, namespace: str = "chrysalis-sign-off", key: Path | None = None) -> SshSigned:
        """Signed by dmitri's key, or by another one."""
        command = ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(key or self.key_file)]
        text = statement.text()
        return SshSigned(text, subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout)

    def tally(self) -> approve.Tally:
        return approve.count(self.bench, *approve.pending(self.bench))

    @property
    def approved(self) -> tuple[str, ...]:
        return tuple(one.approver for one in self.bench.ledger.sign_offs(self.bench.rollout.id) if one.decision == "approve")

    def recorded(self, action: str = "refused: sign_off") -> list[AuditEntry]:
        return [entry for entry in self.bench.ledger.audit() if entry.action == action]

    @property
    def told(self) -> list[str]:
        """The titles of the notices, in order."""
        return [one.title for one in self.bench.ledger.notices(self.bench.rollout.id)]

    def findings(self, verdict: str, reason: str = "0.2 % < 1 %") -> None:
        found = [{"name": "errors", "verdict": verdict, "reason": reason, "numbers": {}, "mode": "block", "parts": []}]
        self.bench.ledger.record_findings(self.bench.rollout.id, GATE, findings=found, now=utc_now())


def new_key(folder: Path, name: str) -> Path:
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with a people file; forgotten at the end."""
    key = new_key(tmp_path, "dmitri")
    (tmp_path / "people.yaml").write_text(PEOPLE.format(key=key.with_suffix(".pub").read_text().strip()))
    monkeypatch.setenv("CHRYSALIS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHRYSALIS_PLANS", str(PLANS))
    monkeypatch.setenv("CHRYSALIS_PEOPLE", str(tmp_path / "people.yaml"))
    monkeypatch.setenv("PROMETHEUS_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("CHRYSALIS_LEDGER_URL", raising=False)
    forget()
    yield tmp_path
    open_ledger().close()
    forget()


OpenGate = Callable[..., Gate]


@pytest.fixture
def open_gate(home: Path) -> OpenGate:
    """Make a gate by the given rule, opened some time ago."""

    def make(
        rule: str = RULE,
        *,
        ago: timedelta = timedelta(0),
        enrolled: tuple[str, ...] = ("dmitri", "pia", "ada"),
        text: str = TEXT,
    ) -> Gate:
        bench = rollout(text.replace(RULE, rule))
        opened = utc_now() - ago
        ledger, rollout_id = bench.ledger, bench.rollout.id
        ledger.begin_step(rollout_id, bench.token, step_id=STEP, kind="sign_off", detail={}, now=opened)
        ledger.open_wait(
            rollout_id, bench.token, step_id=STEP, kind="sign_off", needed_s=None, detail={"rule": "both"}, now=opened
        )
        secrets = {name: codes.new_secret() for name in enrolled}
        for name, secret in secrets.items():
            people.enrol(name, secret, by="kim")
        gate = Gate(bench, home / "dmitri", secrets)
        gate.findings("PASS")
        return gate

    return make


@pytest.fixture
def gate(open_gate: OpenGate) -> Gate:
    return open_gate()


Refused = Callable[..., str]


@pytest.fixture
def refused(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Refused:
    """Try it; it must be refused with an error of ours, which is returned and told in the table at the end."""

    def attempt(what: str, attack: Callable[[], object], says: str) -> str:
        with pytest.raises(ChrysalisError, match=says) as caught:
            attack()
        record_property(PROPERTY, f"{what} → {str(caught.value).partition(chr(10))[0]}")
        return str(caught.value)

    return attempt


def workspace(gate: Gate) -> Workspace:
    """The gate's rollout as another process sees it."""
    return Workspace.open(gate.bench.rollout.id, 0)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tried and refused, a line each."""
    lines = [
        text
        for report in terminalreporter.stats.get("passed", [])
        for name, text in getattr(report, "user_properties", ())
        if name == PROPERTY
    ]
    if lines:
        terminalreporter.section(f"attacks: {len(lines)} tried, {len(lines)} refused")
        for line in sorted(lines):
            terminalreporter.write_line(f"  {line}")

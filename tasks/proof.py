"""Proof of who signs: a one-time code that is worthless once it was used, or an SSH signature that stays verifiable.

A code is used up before anything else is asked, right or wrong person, so that none lies about unused where it was typed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chrysalis.clock import utc_now
from chrysalis.errors import NotAllowed
from chrysalis.ledger import Attempt, Factor
from chrysalis.ledger.identities import CodeVerdict
from chrysalis.people import People, codes, ssh
from chrysalis.people.statement import Statement, parse_statement
from chrysalis.plan.parts import Proof
from gates.signoff import TRIES, locked_until
from tasks.notify import tell
from tasks.workspace import Workspace

FRESH_FOR = timedelta(minutes=5)
"""How old a form's entry or a signed text may be, and how far ahead the signer's clock."""


@dataclass(frozen=True, slots=True)
class Code:
    """A one-time code, and when it was entered; None: now."""

    digits: str
    entered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SshSigned:
    """A statement and its signature, as `ssh-keygen -Y sign` wrote it."""

    text: str
    signature: str


Offered = Code | SshSigned | None


def prove(workspace: Workspace, people: People, needed: Proof, expected: Statement, offered: Offered) -> dict[str, Any]:
    """How the signer is known, for the record. Raises NotAllowed when what was offered does not prove who they say they are.

    `expected` is what is signed now; a signed text must say the same.
    """
    match offered:
        case Code(digits=digits) if digits.strip():
            time_step = _check_code(workspace, people, expected, offered)
            made: dict[str, Any] = {"kind": "code", "time_step": time_step}
        case SshSigned():
            made = _check_signed(people, expected, offered)
        case _:
            made = {"kind": "none"}
    if needed not in ("none", "any", made["kind"]) or (needed == "any" and made["kind"] == "none"):
        wanted = {
            "code": "a one-time code (`chrysalis people enrol`)",
            "ssh": "an SSH signature (`chrysalis approve --ssh-key`)",
        }
        either = " or ".join(wanted.values()) if needed == "any" else wanted[needed]
        raise NotAllowed(f"{expected.by[:100]!r} has not proven who they are: this needs {either}")
    return made


def _check_code(workspace: Workspace, people: People, expected: Statement, offered: Code) -> int:
    now, who = utc_now(), expected.by
    entered = offered.entered_at
    at = entered if entered is not None and now - FRESH_FOR <= entered <= now else now
    tried: list[Attempt] = []

    def judge(factor: Factor | None, attempts: Sequence[Attempt]) -> CodeVerdict:
        tried.extend(attempts)
        until = locked_until([(one.at, one.right) for one in attempts], now)
        if until is not None:
            return CodeVerdict(refused=f"too many wrong codes for {who}: none is looked at before {until:%H:%M:%S} UTC")
        if factor is None or who not in people.people:
            return CodeVerdict(refused=f"{who[:100]!r} is not enrolled; see `chrysalis people enrol`")
        key = codes.read_key(workspace.settings.key_file)
        step = codes.matching_step(codes.unseal(key, who, factor.sealed), offered.digits, at)
        if step is None:
            return CodeVerdict(refused=f"not a code of {who} for now; each is good for about a minute", counts=True)
        return CodeVerdict(time_step=step)

    told = {"step": expected.step, "decision": expected.decision}
    verdict = workspace.ledger.try_code(who, judge, subject=workspace.rollout.id, detail=told, now=now)
    if verdict.counts:
        _report_wrong(workspace, who, tried, now)
    if verdict.time_step is None:
        raise NotAllowed(verdict.refused)
    return verdict.time_step


def _report_wrong(workspace: Workspace, who: str, before: Sequence[Attempt], now: datetime) -> None:
    """Page once when the wrong code that was just tried is the last one looked at for a while."""
    until = locked_until([*((one.at, one.right) for one in before), (now, False)], now)
    if until is not None:
        title = f"{TRIES} wrong one-time codes for {who}"
        tell(workspace, "page", title, f"none is looked at before {until:%H:%M:%S} UTC; somebody may be guessing")


def _check_signed(people: People, expected: Statement, offered: SshSigned) -> dict[str, Any]:
    signed, now = parse_statement(offered.text), utc_now()
    differing = [
        f"{name} is {getattr(signed, name)!r}, expected {getattr(expected, name)!r}"
        for name in ("rollout", "step", "decision", "by", "release", "plan", "findings", "comment")
        if getattr(signed, name) != getattr(expected, name)
    ]
    if differing:
        raise NotAllowed(f"the signed text is of something else: {'; '.join(differing)}")
    if abs(now - signed.at) > FRESH_FOR:
        raise NotAllowed(f"the signed text is of {signed.at:%H:%M:%S}, now it is {now:%H:%M:%S} UTC; sign anew")
    person = people.people.get(expected.by)
    key = ssh.verify(offered.text, offered.signature, expected.by, person.ssh if person else ())
    return {"kind": "ssh", "text": offered.text, "signature": offered.signature, "key": key}

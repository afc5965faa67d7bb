"""Sign-offs: who may sign, whether enough have, what makes a signature void, and when time is over.

A signature is bound to what its signer was shown: plan, release, findings. It is void once the plan or the release is
another one, or a finding fails that did not when it was given. A finding that cannot be had voids nothing, and passes
nothing. Time never grants anything: after its limit a sign-off holds and takes no approval until a person opens it anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from gates.verdict import Verdict

Decision = Literal["approve", "reject"]
TRIES = 5
"""Wrong codes after which no more are looked at for a while."""
LOCKED_FOR = timedelta(minutes=15)
"""How long after the first `TRIES` wrong codes; twice as long after each further `TRIES` without a right one."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Every one of `roles`, each by another person; or with `quorum` that many of the people who hold one of them."""

    roles: tuple[str, ...]
    quorum: int | None = None
    starter_may_sign: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a signer is shown: the plan's hash, the release, and the verdict of each finding by its name."""

    plan_hash: str
    release: str
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True, slots=True)
class Signature:
    """One person's standing decision. `principal` is whose it is: the signer's, or of whoever delegated to the signer."""

    signer: str
    principal: str
    role: str
    decision: Decision
    comment: str
    at: datetime
    seen: Seen


@dataclass(frozen=True, slots=True)
class Tally:
    """Where a sign-off stands. `void` are signers and why their signatures count no more.

    `unanswered`: nobody has to sign any more, but something that a signer saw pass cannot be judged now.
    """

    approved_by: tuple[str, ...]
    missing: tuple[str, ...]
    rejected_by: str | None
    comment: str
    void: tuple[tuple[str, str], ...] = ()
    unanswered: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """That somebody may sign, in which role, and for whom (themselves, or who delegated to them)."""

    role: str
    principal: str


def why_void(signature: Signature, now: Seen, opened_anew_at: datetime | None = None) -> str | None:
    """Why the signature counts no more, in words; None while it does. A rejection stands whatever changes."""
    if signature.decision == "reject":
        return None
    then = signature.seen
    if then.plan_hash != now.plan_hash:
        return f"the plan was changed: signed for {then.plan_hash[:12]}, now {now.plan_hash[:12]}"
    if then.release != now.release:
        return f"signed for release {then.release}, now it is {now.release}"
    worse = [
        f"{name}: {before.name if before is not None else 'not judged'} when it was signed, now FAIL"
        for name, verdict in sorted(now.verdicts.items())
        if verdict is Verdict.FAIL and (before := then.verdicts.get(name)) is not Verdict.FAIL
    ]
    if worse:
        return "a finding got worse: " + "; ".join(worse)
    if opened_anew_at is not None and signature.at < opened_anew_at:
        return "it was given before the sign-off was opened anew"
    return None


def tally(rule: Rule, signatures: Sequence[Signature], now: Seen, opened_anew_at: datetime | None = None) -> Tally:
    """Who has signed, which signatures are void, and what is missing. Signatures in the order in which they were given."""
    refused = next((one for one in signatures if one.decision == "reject"), None)
    approved = [one for one in signatures if one.decision == "approve"]
    void = [(one.signer, why) for one in approved if (why := why_void(one, now, opened_anew_at))]
    good = _each_person_once([one for one in approved if one.signer not in dict(void)])
    if rule.quorum is not None:
        lacking = rule.quorum - len(good)
        missing = [f"{lacking} more of {', '.join(rule.roles)}"] if lacking > 0 else []
    else:
        missing = [role for role in rule.roles if role not in {one.role for one in good}]
    answers = [f"an answer: {name} cannot be judged" for name in _lost(good, now)]
    return Tally(
        tuple(one.signer for one in good),
        (*missing, *answers),
        refused.signer if refused else None,
        refused.comment if refused else "",
        tuple(void),
        unanswered=bool(answers) and not missing,
    )


def _each_person_once(approved: Sequence[Signature]) -> list[Signature]:
    """Without those by which a person, or whoever a person stands in for, would count twice."""
    counted: list[Signature] = []
    for one in approved:
        taken = {name for other in counted for name in (other.signer, other.principal)}
        if not taken & {one.signer, one.principal}:
            counted.append(one)
    return counted


def _lost(good: Sequence[Signature], now: Seen) -> list[str]:
    """Findings that somebody saw pass and that are not known now."""
    passed = {name for one in good for name, verdict in one.seen.verdicts.items() if verdict is Verdict.PASS}
    return sorted(name for name in passed if now.verdicts.get(name) is Verdict.INCONCLUSIVE)


def grant(
    rule: Rule,
    signer: str,
    *,
    roles_of: Mapping[str, frozenset[str]],
    givers: Sequence[str],
    starter: str,
    standing: Sequence[Signature],
    decision: Decision,
    role: str | None = None,
) -> Grant | str:
    """In which role `signer` may sign now, or in words why not.

    `roles_of` has everybody's roles, `givers` those who delegated to the signer, `standing` the signatures that count,
    `role` the one that the signer asks for.
    """
    able = [
        Grant(held, principal)
        for principal in (signer, *givers)
        for held in rule.roles
        if held in roles_of.get(principal, frozenset()) and role in (None, held)
    ]
    if not able:
        return "not listed"
    if not rule.starter_may_sign:
        if signer == starter:
            return f"{signer} started the rollout; somebody else must sign"
        able = [one for one in able if one.principal != starter]
        if not able:
            return f"{starter} started the rollout, so nobody may sign for {starter} either"
    if decision == "reject":
        return able[0]
    return _place(rule, signer, able, [one for one in standing if one.signer != signer])


def _place(rule: Rule, signer: str, able: Sequence[Grant], others: Sequence[Signature]) -> Grant | str:
    """The first role that is still wanted, of a person who does not count yet."""
    if refused := next((one for one in others if one.decision == "reject"), None):
        return f"{refused.signer} has rejected it: {refused.comment or 'no comment'}"
    counted = {name for one in others for name in (one.signer, one.principal)}
    if signer in {one.principal for one in others}:
        return f"somebody has signed for {signer} already; a person counts once"
    free = [one for one in able if one.principal not in counted]
    if not free:
        return f"{' and '.join(sorted({one.principal for one in able}))} signed already; a person counts once"
    if rule.quorum is not None:
        if len(others) >= rule.quorum:
            return f"nothing more is needed: {', '.join(one.signer for one in others)} signed"
        return free[0]
    covered = {one.role: one.signer for one in others}
    wanted = next((one for one in free if one.role not in covered), None)
    if wanted is None:
        signed = ", ".join(f"{covered[name]} as {name}" for name in dict.fromkeys(one.role for one in free))
        return f"nothing more is needed of them: {signed} signed already; who holds another role may sign in it by --role"
    return wanted


def expired(opened_at: datetime, now: datetime, within_s: float | None) -> bool:
    """Whether the time for signing is over; a sign-off without a limit never is."""
    return within_s is not None and (now - opened_at).total_seconds() > within_s


def reminders_due(opened_at: datetime, now: datetime, remind_s: float | None, within_s: float | None) -> int:
    """How many reminders should have been sent by now: one each `remind_s`, none after the limit."""
    if remind_s is None or remind_s <= 0:
        return 0
    waited_s = (now - opened_at).total_seconds()
    if within_s is not None and waited_s >= within_s:
        waited_s = within_s - min(remind_s, within_s) * 1e-6
    return max(0, int(waited_s / remind_s))


def locked_until(attempts: Sequence[tuple[datetime, bool]], now: datetime) -> datetime | None:
    """Until when no code is looked at, after too many wrong ones since the last right one; None when codes are."""
    wrong: list[datetime] = []
    for at, right in attempts:
        wrong = [] if right else [*wrong, at]
    if not wrong or len(wrong) % TRIES:
        return None
    until: datetime = wrong[-1] + LOCKED_FOR * 2 ** (len(wrong) // TRIES - 1)
    return until if now < until else None

"""Tell people. What cannot be delivered is kept and tried again, and never stops a rollout or a way back."""

import concurrent.futures
from datetime import timedelta
from typing import Any

from chrysalis import secrets
from chrysalis.clock import utc_now
from chrysalis.effects.notice import Delivery, Notice, Severity
from chrysalis.effects.notices import channels_for
from chrysalis.errors import LedgerError, LedgerUnavailable
from chrysalis.plan import PlannedStep
from chrysalis.plan.parts import EscalationStep
from chrysalis.plan.steps import Notify
from tasks.late_pages import LEDGER, keep_page
from tasks.post import post, post_without_ledger
from tasks.step import Before, Done, log, step_task
from tasks.workspace import Workspace

TITLE_CHARACTERS = 160
ON_ITS_WAY = "on its way"
WAIT_S = 2.0
"""How long a step that tells people waits to hear whether they were reached; after that the queue goes on."""


def run(workspace: Workspace, planned: PlannedStep, spec: Notify, before: Before) -> Done:
    """Send the step's message to its channels, or to those of its severity."""
    deliveries = tell(
        workspace,
        spec.severity,
        spec.message,
        planned.title,
        channels=spec.channels,
        key=f"{workspace.rollout.id}:{planned.id}",
        wait_s=WAIT_S,
    )
    return Done(f"{spec.message} → {said(deliveries)}")


def tell(
    workspace: Workspace,
    severity: Severity,
    title: str,
    body: str,
    *,
    channels: tuple[str, ...] = (),
    key: str = "",
    cause: str | None = None,
    markdown: bool = False,
    wait_s: float = 0.0,
) -> list[Delivery]:
    """Tell people about this rollout, in the background. Never raises, and takes one write to the ledger.

    The same `key` (by default the title) is not told again within the plan's `notifications.settle`. `cause` says what has
    to be over for a page to end: `trigger:NAME`, `wait:ID`, `blind`, `ledger`, or with None the rollout. A page that the
    ledger cannot take is sent at once, and opened when the ledger is back. Returns what became of it on each channel within
    `wait_s` real seconds.
    """
    title, body = _headline(secrets.redact(f"[{workspace.rollout.id}] {title}"), secrets.redact(body))
    notifications = workspace.plan.notifications
    steps = notifications.escalation if severity == "page" else ()
    at_once = [step for step in steps if not step.after]
    names = channels or channels_for(severity, notifications.routes)
    names = tuple(dict.fromkeys((*names, *(name for step in at_once for name in step.to))))
    key = key or f"{workspace.rollout.id}:{title}"
    now = utc_now()
    following = steps[len(at_once)].after if len(steps) > len(at_once) else None
    next_at = None if following is None else now + real(workspace, following)
    told: dict[str, Any] = {
        "title": title,
        "body": body,
        "markdown": markdown,
        "key": key,
        "cause": cause,
        "channels": names,
        "level": len(at_once),
    }
    try:
        notice, held = workspace.ledger.tell_notice(
            workspace.rollout.id,
            **told,
            severity=severity,
            settle=real(workspace, notifications.settle),
            next_at=next_at,
            now=now,
        )
        sent = post(workspace, notice, held)
    except LedgerError as error:
        log().error("a notice could not be entered in the ledger and is sent once: %s", error)
        notice_itself = Notice(severity, title, body, workspace.rollout.id, key, markdown=markdown)
        held = ()
        sent = post_without_ledger(workspace, notice_itself, names)
        if severity == "page" and cause != LEDGER and isinstance(error, LedgerUnavailable):
            keep_page(workspace, told, now, next_at)
        return [one.result() for one in concurrent.futures.wait(sent, wait_s).done]
    concurrent.futures.wait(sent, wait_s)
    return [
        one.result() if one.done() else Delivery(queued.channel, False, ON_ITS_WAY)
        for one, queued in zip(sent, held, strict=True)
    ]


def _headline(title: str, body: str) -> tuple[str, str]:
    """A title of one line of at most `TITLE_CHARACTERS`; what does not fit stands first in the body."""
    first, _, rest = title.partition("\n")
    if not rest and len(first) <= TITLE_CHARACTERS:
        return first, body
    return first[: TITLE_CHARACTERS - 1].rstrip() + "…", f"{title}\n{body}".strip()


def real(workspace: Workspace, span: timedelta) -> timedelta:
    """A span of the plan in real time."""
    return timedelta(seconds=workspace.clock.real_span_s(span))


def next_step(steps: tuple[EscalationStep, ...], level: int) -> EscalationStep:
    """The step of the escalation that is due after `level` of them were taken; the last one comes again and again."""
    return steps[min(level, len(steps) - 1)]


def said(deliveries: list[Delivery]) -> str:
    """Who was told, in words."""
    return ", ".join(f"{one.channel} ({_how(one)})" for one in deliveries) or "nobody new"


def _how(delivery: Delivery) -> str:
    if delivery.delivered:
        return "sent"
    return ON_ITS_WAY if delivery.reason == ON_ITS_WAY else f"not yet, tried again: {delivery.reason}"


notify = step_task("notify", run)

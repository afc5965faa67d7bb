"""Whether a checklist lets a phase go on: how each of its items stands, and what follows from all of them. Pure.

An item that a machine checks stands by its newest result, one that a person attests by the newest attestation that counts:
made for the item as it is written now, not withdrawn, not expired, and where `since` is given not older than that. What is
not known, open or expired is never a pass; only what a check found wrong is a no-go.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    """How one item stands, best to worst."""

    PASSED = "passed"
    NOT_APPLICABLE = "not applicable"
    NOT_KNOWN = "not known"
    """The check gave no answer."""
    OPEN = "open"
    """Nobody has attested it, or the one who did has withdrawn it."""
    EXPIRED = "expired"
    FAILED = "failed"


class Decision(StrEnum):
    """What a phase may do."""

    GO = "go"
    NOT_YET = "not yet"
    NO_GO = "no-go"


SETTLED = frozenset({Status.PASSED, Status.NOT_APPLICABLE})


@dataclass(frozen=True, slots=True)
class Attested:
    """One person's word on one item. `item_hash` is of the item as it was written then."""

    person: str
    role: str
    evidence: str
    item_hash: str
    at: datetime
    expires_at: datetime
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How an item stands, and why: `reason` has both operands where a check compared two."""

    item: str
    status: Status
    reason: str


def standing_of(
    item: str, attested: Sequence[Attested], *, item_hash: str, now: datetime, since: datetime | None = None
) -> Standing:
    """How an item stands that people attest; `attested` oldest first, the newest counts."""
    if not attested:
        return Standing(item, Status.OPEN, "nobody has attested it")
    newest = attested[-1]
    who = f"{newest.person} ({newest.role})"
    if newest.withdrawn:
        return Standing(item, Status.OPEN, f"withdrawn by {who} on {newest.at:%Y-%m-%d %H:%M} UTC: {newest.evidence}")
    if newest.item_hash != item_hash:
        return Standing(item, Status.OPEN, f"{who} attested it when it was worded otherwise; it needs a new word")
    if since is not None and newest.at < since:
        said = (
            f"{who} attested it on {newest.at:%Y-%m-%d %H:%M} UTC, before {since:%Y-%m-%d %H:%M} UTC, when the phase began"
        )
        return Standing(item, Status.EXPIRED, said)
    if newest.expires_at <= now:
        said = f"what {who} attested expired on {newest.expires_at:%Y-%m-%d %H:%M} UTC, it is {now:%Y-%m-%d %H:%M} UTC"
        return Standing(item, Status.EXPIRED, said)
    return Standing(item, Status.PASSED, f"{who}, until {newest.expires_at:%Y-%m-%d}: {newest.evidence}")


def decide(standings: Iterable[Standing]) -> tuple[Decision, str]:
    """Go when every item is settled, no-go when a check found one wrong, else not yet; with the reason in a line.

    A list of nothing is not yet: it shows nothing.
    """
    all_of_them = tuple(standings)
    open_ones = [one for one in all_of_them if one.status not in SETTLED]
    if not all_of_them:
        return Decision.NOT_YET, "no item was asked for"
    if not open_ones:
        return Decision.GO, f"all {len(all_of_them)} items are settled"
    failed = [one for one in open_ones if one.status is Status.FAILED]
    counted = ", ".join(
        f"{sum(one.status is status for one in open_ones)} {status}"
        for status in Status
        if any(one.status is status for one in open_ones)
    )
    first = (failed or open_ones)[0]
    said = f"{len(open_ones)} of {len(all_of_them)} items are open ({counted}); {first.item}: {first.reason}"
    return (Decision.NO_GO if failed else Decision.NOT_YET), said

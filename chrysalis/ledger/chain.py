"""The audit chain: how one entry is hashed onto the one before, and what a look at all of them shows.

`hash` is SHA-256 over the canonical JSON of the entry with the previous hash in it, so that whoever changes, removes,
inserts or reorders an entry must change every later one, and the remembered head does not match then. Pure: it takes
entries as they were read, whatever was done to them.

Of entries that were archived (`audit_archive.py`) only number and hashes are left, and one digest over all their hashes is
part of a later entry, so that they still cannot be changed. `check_audit.py` checks exported and archived entries alone.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chrysalis.errors import LedgerError
from chrysalis.ledger.canonical import canonical_json, clean
from chrysalis.ledger.columns import utc

GENESIS = "0" * 64
"""The hash before the first entry."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry as stored: `at` in ISO 8601 (UTC, microseconds), `detail` as canonical JSON."""

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    detail: str
    previous_hash: str
    hash: str
    origin: str | None = None
    """By which door, on which machine, in which process; entries of the first version have none."""

    def details(self) -> Any:
        """The detail as a value."""
        return json.loads(self.detail)

    def as_json(self) -> dict[str, Any]:
        """The entry as one JSON-ready object, from which `hash` can be computed anew."""
        where = {} if self.origin is None else {"origin": self.origin}
        return {
            **where,
            "seq": self.seq,
            "at": self.at,
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "detail": self.details(),
            "previous_hash": self.previous_hash,
            "hash": self.hash,
        }


@dataclass(frozen=True, slots=True)
class AuditHead:
    """Where the chain ended at some time. Kept elsewhere, it shows later that nothing was cut off or written anew."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class AuditProblem:
    """One place where the chain is not what it was; `seq` is where it shows."""

    seq: int
    text: str

    def __str__(self) -> str:
        return f"audit entry {self.seq}: {self.text}"


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be entered: who did what to what, and the particulars."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: Any
    origin: str | None = None


def link(note: Note, head: AuditHead) -> AuditEntry:
    """`note` as the entry after `head`."""
    fields = {
        "seq": head.seq + 1,
        "at": utc(note.at).isoformat(timespec="microseconds"),
        "actor": clean(note.actor),
        "action": clean(note.action),
        "subject": clean(note.subject),
        "detail": json.loads(canonical_json(note.detail)),
        "previous_hash": head.hash,
    }
    if note.origin is not None:
        fields["origin"] = clean(note.origin)
    return AuditEntry(**{**fields, "detail": canonical_json(note.detail)}, hash=_hash(fields))


@dataclass(frozen=True, slots=True)
class Archived:
    """Up to where entries were archived; `digest` is `digest_of` all hashes from the first entry to `through`."""

    through: int
    digest: str


NOTHING_ARCHIVED = Archived(0, "")
ARCHIVED = {"at": "", "actor": "", "action": "archived", "subject": "", "detail": "null", "origin": None}
"""What an archived entry still says besides its number and hashes: nothing."""


def digest_of(hashes: Iterable[str]) -> str:
    """SHA-256 over the hashes, one after the other."""
    digest = hashlib.sha256()
    for one in hashes:
        digest.update(one.encode())
    return digest.hexdigest()


def problems(
    entries: Iterable[AuditEntry], heads: Iterable[AuditHead], archived: Archived = NOTHING_ARCHIVED
) -> Iterator[AuditProblem]:
    """Everything wrong with the whole chain, `entries` by ascending seq; each of the `heads` must be on it."""
    old_hashes: list[str] = []
    wanted: dict[int, list[AuditHead]] = {}
    for head in heads:
        wanted.setdefault(head.seq, []).append(head)
    last = AuditHead(0, GENESIS)
    for entry in entries:
        if entry.seq != last.seq + 1:
            yield AuditProblem(last.seq + 1, f"missing; {last.seq} is followed by {entry.seq}: entries were removed")
        elif entry.previous_hash != last.hash:
            yield AuditProblem(
                entry.seq,
                f"follows {entry.previous_hash!s:.12}, but entry {last.seq} is {last.hash:.12}: "
                "an entry was inserted, replaced or moved here",
            )
        if entry.seq <= archived.through:
            old_hashes.append(str(entry.hash))
            if any(getattr(entry, name) != value for name, value in ARCHIVED.items()):
                yield AuditProblem(entry.seq, "it says something, though it was archived: it was changed")
            if entry.seq == archived.through and digest_of(old_hashes) != archived.digest:
                yield AuditProblem(entry.seq, "the hashes up to here are not those that were archived: one was changed")
        elif (computed := _hash_of(entry)) != entry.hash:
            yield AuditProblem(
                entry.seq, f"its content hashes to {computed:.12}, recorded is {entry.hash!s:.12}: it was changed"
            )
        for head in wanted.pop(entry.seq, []):
            if head.hash != entry.hash:
                yield AuditProblem(
                    entry.seq, f"its hash is {entry.hash!s:.12}, remembered is {head.hash:.12}: the chain was written anew"
                )
        last = AuditHead(entry.seq, str(entry.hash))
    for seq in sorted(wanted):
        if seq:
            yield AuditProblem(seq, f"missing; the chain ends at {last.seq}, remembered is {seq}: its end was cut off")


def _hash_of(entry: AuditEntry) -> str:
    try:
        return _hash({key: value for key, value in entry.as_json().items() if key != "hash"})
    except (ValueError, TypeError, LedgerError):
        return "nothing"


def _hash(fields: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(fields).encode("ascii")).hexdigest()

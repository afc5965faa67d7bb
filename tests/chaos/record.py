"""What happened, in the words of those it happened to: the targets' own logs, the journal, the sign-offs, the soaks."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from chrysalis.ledger import Ledger
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.service.configuration import write_log
from chrysalis.targets.base import Stamp

_ACCEPTED = re.compile(
    r'Filesystem config update accepted for \S+: [^\n]*\nversion_info: "(?P<stamp>[^"]*)"\n(?P<body>.*?)(?=\n\[\d{4}-|\Z)',
    re.DOTALL,
)
_WEIGHT = re.compile(r'clusters \{\s*name: "canary"\s*weight \{\s*value: (\d+)')
_HEADER = re.compile(r'headers \{\s*name: "([^"]+)"')
_OF_THE_WATCH = re.compile(
    r"is not decided|is not complete|^checkpoint of|cannot be watched|is void$|^the ledger is (out of reach|back)$"
)
_NOTICE = re.compile(r"^\[[^\]]+\] ")
_ESCALATED = re.compile(r"^nobody has it yet: ")
"""A page may be over before the watch's next round, 1 s later: 4 days of the plan."""
_OF_THE_LEDGER = re.compile(r"the ledger is out of reach$")


@dataclass(frozen=True, slots=True)
class Write:
    """One write that a target took: whose, for which step, and the value it left."""

    token: int
    step_id: str
    value: str

    def __str__(self) -> str:
        return f"{self.step_id} wrote {self.value}"


@dataclass(frozen=True, slots=True)
class Offsets:
    """How far the logs were when a rollout began."""

    envoy: int
    config: int
    notices: int

    @classmethod
    def now(cls, sandbox: Sandbox, sent: Path) -> "Offsets":
        paths = (_envoy_log(sandbox), write_log(sandbox.layout.service_config), sent)
        return cls(*(path.stat().st_size if path.exists() else 0 for path in paths))


@dataclass(frozen=True, slots=True)
class Record:
    """All that is compared between a rollout without crashes and one with them."""

    outcome: str
    weight: int
    configuration: dict[str, Any]
    schema: list[tuple[Any, ...]]
    tables: list[str]
    references: list[str]
    envoy: list[Write]
    config_writes: list[Write]
    notices: list[str]
    """What people were told, in order, without that nobody had it yet."""
    not_opened: list[str]
    """Pages that were sent and are not in the ledger: nobody else would be told, and nobody could say that they have it."""
    done: list[str]
    begun_first: list[str]
    ends: dict[str, str]
    sign_offs: list[tuple[str, str, str]]
    soaks: dict[str, tuple[float, float]]
    """Plan seconds needed and watched by step."""


def read_record(sandbox: Sandbox, ledger: Ledger, rollout_id: str, since: Offsets, sent: Path) -> Record:
    """What is known of a rollout that has ended. `sent`: the file of the notices that were carried."""
    row = ledger.get(rollout_id)
    journal = ledger.journal(rollout_id)
    with sandbox.router() as router:
        weight = router.read().canary_percent
    configuration = json.loads(sandbox.layout.service_config.read_text())
    configuration.pop("stamp", None)
    with psycopg.connect(sandbox.state.postgres["uri"]) as connection:
        exists = connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL").fetchone()
        rows = "SELECT version, name, checksum, applied_at IS NOT NULL FROM schema_migrations ORDER BY 1"
        schema = list(connection.execute(rows)) if exists and exists[0] else []
        tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
        names = [name for (name,) in connection.execute(tables)]
    told = _notices(ledger, rollout_id, _text(sent, since.notices))
    begun: list[str] = []
    for entry in journal:
        if entry.event == "begun" and entry.step_id not in begun:
            begun.append(entry.step_id)
    return Record(
        outcome=str(row.outcome),
        weight=weight,
        configuration=configuration,
        schema=schema,
        tables=names,
        references=_references(sandbox.folder / "repository"),
        envoy=_envoy_writes(sandbox, rollout_id, since.envoy),
        config_writes=_config_writes(sandbox, rollout_id, since.config),
        notices=[title for title in told if not _ESCALATED.search(title)],
        not_opened=_not_opened(ledger, rollout_id, _text(sent, since.notices)),
        done=[entry.step_id for entry in journal if entry.event == "done"],
        begun_first=begun,
        ends={entry.step_id: entry.event for entry in journal},
        sign_offs=sorted(
            (one.step_id, one.approver, one.decision) for one in ledger.sign_offs(rollout_id) if one.void is None
        ),
        soaks={
            wait.step_id: (wait.needed_s or 0.0, wait.watched_s) for wait in ledger.waits(rollout_id) if wait.kind == "soak"
        },
    )


def collapsed(writes: Sequence[Write]) -> list[str]:
    """The writes with repeats of the same value for the same step taken as one."""
    kept: list[str] = []
    for write in writes:
        if not kept or kept[-1] != str(write):
            kept.append(str(write))
    return kept


def once(names: Iterable[str]) -> list[str]:
    """In order, with what follows itself taken as one."""
    kept: list[str] = []
    for name in names:
        if not kept or kept[-1] != name:
            kept.append(name)
    return kept


def differences(mine: Record, expected: Record) -> list[str]:
    """What is not as it was without a crash, each with both operands."""
    found: list[str] = []
    for name in (
        *("outcome", "weight", "configuration", "schema", "tables", "references"),
        *("begun_first", "ends", "sign_offs", "not_opened"),
    ):
        ours, theirs = getattr(mine, name), getattr(expected, name)
        if ours != theirs:
            found.append(f"{name}: {_apart(ours, theirs)}")
    for name, ours_, theirs_ in (
        ("Envoy's log", collapsed(mine.envoy), collapsed(expected.envoy)),
        ("the service's log of writes", collapsed(mine.config_writes), collapsed(expected.config_writes)),
        ("notices", once(mine.notices), once(expected.notices)),
    ):
        if ours_ != theirs_:
            found.append(f"{name}: {_apart(ours_, theirs_)}")
    for name in ("envoy", "config_writes"):
        tokens = [write.token for write in getattr(mine, name)]
        if tokens != sorted(tokens):
            found.append(f"{name}: a stale token was taken: {tokens}")
    twice = sorted({step_id for step_id in mine.done if mine.done.count(step_id) > 1})
    if twice:
        found.append(f"journal: done more than once: {', '.join(twice)}")
    return found


def _apart(ours: Any, theirs: Any) -> str:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = [key for key in {**theirs, **ours} if ours.get(key) != theirs.get(key)]
        return "; ".join(f"{key}: {ours.get(key)!r}, without a crash {theirs.get(key)!r}" for key in keys[:4])
    if isinstance(ours, list) and isinstance(theirs, list):
        at = next((at for at, (one, two) in enumerate(zip(ours, theirs, strict=False)) if one != two), None)
        at = min(len(ours), len(theirs)) if at is None else at
        return f"at {at}: {ours[at : at + 3]!r}, without a crash {theirs[at : at + 3]!r}"
    return f"{ours!r}, without a crash {theirs!r}"


def _envoy_log(sandbox: Sandbox) -> Path:
    return sandbox.layout.logs / "envoy.log"


def _text(path: Path, offset: int) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")


def _envoy_writes(sandbox: Sandbox, rollout_id: str, offset: int) -> list[Write]:
    writes = []
    for found in _ACCEPTED.finditer(_text(_envoy_log(sandbox), offset)):
        stamp = Stamp.parse(found["stamp"])
        if stamp is None or stamp.rollout_id != rollout_id:
            continue
        weights = _WEIGHT.findall(found["body"]) or ["0"]
        headers = ",".join(sorted(set(_HEADER.findall(found["body"]))))
        writes.append(Write(stamp.token, stamp.step_id, f"{weights[-1]} % header {headers or '-'}"))
    return writes


def _config_writes(sandbox: Sandbox, rollout_id: str, offset: int) -> list[Write]:
    writes = []
    for line in _text(write_log(sandbox.layout.service_config), offset).splitlines():
        said = json.loads(line)
        stamp = Stamp.parse(said["stamp"])
        if stamp is None or stamp.rollout_id != rollout_id:
            continue
        changes = {name: value for name, value in said["changes"].items() if name != "stamp"}
        writes.append(Write(stamp.token, stamp.step_id, json.dumps(changes, sort_keys=True)))
    return writes


def _notices(ledger: Ledger, rollout_id: str, sent: str) -> list[str]:
    """The notices of steps and of the way back; what the watch says of late gates depends on the machine's speed.

    While the ledger is away they are sent and not entered; so those that were sent and are not in it stand among them.
    """
    told = [(one.told_at, one.title) for one in ledger.notices(rollout_id)]
    entered = {title for _, title in told}
    for line in sent.splitlines():
        row = json.loads(line)
        if row["rollout_id"] == rollout_id and row["title"] not in entered:
            entered.add(row["title"])
            told.append((datetime.fromisoformat(row["at"]), row["title"]))
    mine = [_NOTICE.sub("", title) for _, title in sorted(told, key=lambda one: one[0])]
    return [title for title in mine if not _OF_THE_WATCH.search(title)]


def _not_opened(ledger: Ledger, rollout_id: str, sent: str) -> list[str]:
    opened = {one.title for one in ledger.notices(rollout_id)}
    rows = [
        row for row in map(json.loads, sent.splitlines()) if row["rollout_id"] == rollout_id and row["severity"] == "page"
    ]
    titles = {_ESCALATED.sub("", row["title"]) for row in rows}
    return sorted(title for title in titles - opened if not _OF_THE_LEDGER.search(title))


def _references(repository: Path) -> list[str]:
    folder = repository / ".git" / "refs"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

"""Commands about the record: read it, verify it, take it out, and archive what is old.

Exit codes: 0 whole, 1 something is wrong with it, 2 wrong use.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from chrysalis.cli_common import By, Json, acting, print_json
from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, LedgerError, SettingsError
from chrysalis.ledger import AuditHead, check_audit
from chrysalis.plan import load_plan
from chrysalis.settings import Settings
from gates.units import format_duration, parse_duration
from tasks.workspace import open_ledger, settings

app = typer.Typer(name="audit", no_args_is_help=True)

KEPT = "audit_logs"
"""The figure of a plan's `retention` that says how long the record is kept."""
KEPT_DAYS = 365
"""Where no plan says so."""

Out = Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, an entry each.")]


@app.command()
def show(
    subject: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A rollout, or another subject; all without.")
    ] = None,
    since: Annotated[int, typer.Option(help="Only entries after this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """The newest entries: number, time, who, what, to what, from where."""
    entries = open_ledger().audit(since, subject=subject)[-limit:]
    if as_json:
        print_json([entry.as_json() for entry in entries])
        return
    for entry in entries:
        print(
            f"{entry.seq:>6} {entry.at[:19]}  {entry.actor:<16} {entry.action:<20} {entry.subject:<20} {entry.origin or ''}"
        )


@app.command()
def head(as_json: Json = False) -> None:
    """Where the chain ends now, as NUMBER:HASH. Keep it outside: in a mail, a ticket, another system."""
    now = open_ledger().audit_head()
    print_json({"seq": now.seq, "hash": now.hash}) if as_json else print(f"{now.seq}:{now.hash}")


@app.command()
def verify(
    remembered: Annotated[str, typer.Option("--head", help="A head printed earlier; it must be on the chain.")] = "",
    as_json: Json = False,
) -> None:
    """Compute every hash anew and say which entry was changed, removed, inserted or moved."""
    ledger = open_ledger()
    problems = ledger.verify_audit(parsed_head(remembered) if remembered else None)
    now, through = ledger.audit_head(), ledger.archived_through()
    if as_json:
        told = [{"seq": one.seq, "text": one.text} for one in problems]
        print_json({"whole": not problems, "entries": now.seq, "head": f"{now.seq}:{now.hash}", "problems": told})
    elif not problems:
        old = f"; what 1 to {through} say is in the archives" if through else ""
        print(f"whole: {now.seq} entries, head {now.seq}:{now.hash}{old}")
    for problem in () if as_json else problems:
        print(problem, file=sys.stderr)
    if problems:
        raise typer.Exit(1)


@app.command()
def export(file: Out) -> None:
    """Write the record to a file that is verified without us."""
    ledger = open_ledger()
    written = ledger.export_audit(file)
    print(f"{file}: entries {written.first} to {written.last}, SHA-256 {written.sha256}")
    checker = Path(check_audit.__file__).name
    print(f"verify it anywhere: python3 {checker} {file.name} --head {_head_text()}{_after(written.first)}")


@app.command()
def retain(
    file: Out,
    older_than: Annotated[str, typer.Option("--older-than", help="Such as 365d; else what the plans' retention says.")] = "",
    by: By = "",
) -> None:
    """Move what old entries say into a new file; their hashes stay, and the chain is verified on as before."""
    kept = parse_duration(older_than) if older_than else kept_by_plans(settings())
    if kept <= timedelta(0):
        raise SettingsError(f"--older-than: found {older_than}, expected more than 0s")
    now = utc_now()
    written = open_ledger().archive_audit(file, before=now - kept, by=acting(by), now=now)
    if written is None:
        print(f"nothing is older than {format_duration(kept)}; nothing was changed")
        return
    print(
        f"{file}: entries {written.first} to {written.last}, SHA-256 {written.sha256}; keep it, the ledger has their hashes"
    )


def kept_by_plans(given: Settings) -> timedelta:
    """The longest time that a plan keeps the record; every plan writes into the same chain."""
    figures = [timedelta(days=KEPT_DAYS)]
    for name in given.plan_names():
        try:
            written = load_plan(given.plan_file(name)).plan.retention.get(KEPT)
            figures += [parse_duration(written)] if written else []
        except (ChrysalisError, ValueError) as error:
            raise SettingsError(f"plan {name}: {KEPT} cannot be read: {error}; give --older-than") from error
    return max(figures)


def parsed_head(text: str) -> AuditHead:
    """`12:ab…`. Raises LedgerError."""
    number, _, digest = text.strip().partition(":")
    if not number.isdigit() or not digest:
        raise LedgerError(f"--head: found {text!r}, expected NUMBER:HASH as `chrysalis audit head` prints it")
    return AuditHead(int(number), digest)


def _head_text() -> str:
    now = open_ledger().audit_head()
    return f"{now.seq}:{now.hash}"


def _after(first: int) -> str:
    if first <= 1:
        return ""
    (before,) = open_ledger().audit(first - 2, limit=1)
    return f" --after {before.seq}:{before.hash}"

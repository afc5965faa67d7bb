"""Taking the audit out of the ledger: an export to verify elsewhere, and archiving what is older than it must be kept here.

Both write JSON lines, an entry each, in its canonical form, which `check_audit.py` verifies without anything of ours.
Archiving moves what old entries say into such a file; their numbers and hashes stay, a new entry says up to where, with a
digest over all hashes so far, and the chain is verified on as before. It refuses a chain that is not whole, and it happens
in one transaction: the append-only triggers are lifted in it and stand again when it ends, whichever way.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, select, text, update

from chrysalis.errors import LedgerError
from chrysalis.ledger import schema
from chrysalis.ledger.audit import ARCHIVING, archived, entries_of, head_of
from chrysalis.ledger.canonical import canonical_json
from chrysalis.ledger.chain import ARCHIVED, AuditEntry, digest_of, problems
from chrysalis.ledger.columns import utc
from chrysalis.ledger.part import Part

_TABLE = schema.audit


@dataclass(frozen=True, slots=True)
class Written:
    """A file of entries: from which to which, how many, and the file's SHA-256."""

    path: Path
    first: int
    last: int
    entries: int
    sha256: str


class AuditArchive(Part):
    """The audit outside of the ledger."""

    def export_audit(self, path: Path) -> Written:
        """Write every entry that was not archived; what stands at `path` is replaced when all is written."""
        with self._database.read(snapshot=True) as connection:
            through = archived(connection).through
            return _write(path, (entry for entry in entries_of(connection) if entry.seq > through))

    def archive_audit(self, path: Path, *, before: datetime, by: str, now: datetime) -> Written | None:
        """Move what entries made before that moment say into a new file. None when there are none to move.

        Raises LedgerError for a chain that is not whole, and for a file that is there already.
        """
        if path.exists():
            raise LedgerError(f"{path} is there already; name a new file, an archive is never written over")
        cutoff = utc(before).isoformat(timespec="microseconds")
        with self._database.write(now) as tx:
            connection = tx.connection
            # The same order as every other writer: the head first, then the audit.
            connection.execute(select(schema.audit_head.c.seq).with_for_update())
            done = archived(connection)
            kept = select(func.min(_TABLE.c.seq)).where(_TABLE.c.at >= cutoff, _TABLE.c.seq > done.through)
            first_kept = connection.execute(kept).scalar()
            through = (head_of(connection).seq if first_kept is None else int(first_kept)) - (first_kept is not None)
            if through <= done.through:
                return None
            if wrong := list(problems(entries_of(connection), [head_of(connection)], done)):
                raise LedgerError(f"nothing was archived, the chain is not whole: {wrong[0]}")
            written = _write(path, (one for one in entries_of(connection) if done.through < one.seq <= through))
            hashes = connection.execute(select(_TABLE.c.hash).where(_TABLE.c.seq <= through).order_by(_TABLE.c.seq))
            digest = digest_of(str(one) for one in hashes.scalars())
            with _triggers_lifted(connection):
                old = update(_TABLE).where(_TABLE.c.seq > done.through, _TABLE.c.seq <= through)
                connection.execute(old.values(**ARCHIVED))
            after = {"through": through, "digest": digest, "file": path.name, "sha256": written.sha256}
            tx.note(by, ARCHIVING, "audit", {"before": {"through": done.through}, "after": after, "made_before": before})
            return written


def _write(path: Path, entries: Iterable[AuditEntry]) -> Written:
    """Complete or not at all."""
    part = path.with_name(f"{path.name}.part")
    digest, count, first, last = hashlib.sha256(), 0, 0, 0
    try:
        with part.open("wb") as file:
            for entry in entries:
                line = f"{canonical_json(entry.as_json())}\n".encode()
                file.write(line)
                digest.update(line)
                first, last, count = first or entry.seq, entry.seq, count + 1
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise LedgerError(f"{path}: cannot be written ({error.strerror}); nothing was changed") from error
    finally:
        part.unlink(missing_ok=True)
    return Written(path, first, last, count, digest.hexdigest())


_DEFINITIONS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'",
    "postgresql": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger "
    "WHERE tgrelid = 'audit'::regclass AND NOT tgisinternal",
}


@contextmanager
def _triggers_lifted(connection: Connection) -> Iterator[None]:
    dialect = connection.dialect.name
    found = [(str(name), str(made)) for name, made in connection.execute(text(_DEFINITIONS[dialect])).all()]
    for name, _ in found:
        connection.execute(text(f"DROP TRIGGER {name}" + (" ON audit" if dialect == "postgresql" else "")))
    yield
    for _, made in found:
        connection.exec_driver_sql(made)

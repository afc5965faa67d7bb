"""Backups that were proven when they were made: a dump that was restored and compared, a base backup that was booted.

    BACKUPS/
      20261121T071500Z-crystal-1-hybrid.02.back_up/
        manifest.json      what it is, of when, its size and checksum, what was in every table
        data.dump          pg_dump's custom format; or base/, a folder of pg_basebackup

A folder appears under its name only when it is complete and proven; what a killed worker leaves ends in `.part`.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from psycopg import sql

from chrysalis.effects.database.fingerprint import Fingerprint, differences, fingerprint
from chrysalis.effects.database.programs import Address, Programs
from chrysalis.effects.database.scratch import scratch_server
from chrysalis.errors import StepFailed

Method = Literal["dump", "base"]
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup as its manifest tells it. `taken_at` is the moment whose data it holds; a base backup's is its end."""

    folder: Path
    method: Method
    database: str
    taken_at: datetime
    made_for: str
    """The step that asked for it, `crystal-1/hybrid.02.back_up`."""
    bytes: int
    sha256: str
    """Of the dump; of pg_basebackup's own manifest, which has a checksum of every file, for a base backup."""
    contents: Fingerprint

    @property
    def data(self) -> Path:
        return self.folder / ("data.dump" if self.method == "dump" else "base")

    @property
    def rows(self) -> int:
        """In all tables together."""
        return sum(rows for rows, _ in self.contents.values())

    def as_json(self) -> dict[str, Any]:
        """For the journal."""
        told = {name: value for name, value in asdict(self).items() if name not in ("folder", "contents")}
        return {**told, "taken_at": self.taken_at.isoformat(), "folder": str(self.folder), "rows": self.rows}


def take_backup(url: str, folder: Path, *, method: Method, made_for: str, programs: Programs, now: datetime) -> Backup:
    """Make one and prove it; the one that was made for the same step before is returned as it is.

    Raises StepFailed (it cannot be read back, or holds something else than the database), TargetUnavailable, SettingsError.
    """
    for earlier in backups(folder):
        if earlier.made_for == made_for:
            return earlier
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.part"):
        shutil.rmtree(left, ignore_errors=True)
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{made_for.replace('/', '-')}"
    part = folder / f"{name}.part"
    part.mkdir(mode=0o700)
    try:
        address = Address.parse(url)
        take = _dump if method == "dump" else _base
        described = take(address, part, programs)
        manifest = {"method": method, "database": address.name, "made_for": made_for, **described}
        _write(part / "manifest.json", manifest)
        os.rename(part, folder / name)
        _sync_folder(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return read_backup(folder / name)


def backups(folder: Path) -> list[Backup]:
    """Every proven backup of the folder, oldest first. Raises StepFailed for one that is damaged."""
    return sorted((read_backup(path.parent) for path in folder.glob("*/manifest.json")), key=lambda one: one.taken_at)


def read_backup(folder: Path) -> Backup:
    """Raises StepFailed."""
    try:
        told: Mapping[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        contents = {table: (int(rows), str(checksum)) for table, (rows, checksum) in told["contents"].items()}
        plain = {name: told[name] for name in ("method", "database", "made_for", "bytes", "sha256")}
        return Backup(folder=folder, taken_at=datetime.fromisoformat(told["taken_at"]), contents=contents, **plain)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StepFailed(f"backup {folder}: its manifest cannot be read ({error}); take a new backup") from error


def note_recovery(backup: Backup, to: datetime) -> None:
    """Keep with the backup that a point in time was reached from it: what a checklist asks for."""
    path = backup.folder / "manifest.json"
    told = {**json.loads(path.read_text(encoding="utf-8")), "recovered_to": to.isoformat()}
    _write(path.with_suffix(".new"), told)
    path.with_suffix(".new").replace(path)


def check_stored(backup: Backup) -> None:
    """Whether the files are still those that were written. Raises StepFailed."""
    if backup.method == "base":
        _check_manifest(backup.data)
        return
    found = _sha256(backup.data)
    if found != backup.sha256:
        raise StepFailed(f"backup {backup.folder.name}: its checksum is {found[:12]}, expected {backup.sha256[:12]}")


def load_dump(dump: Path, address: Address, programs: Programs) -> None:
    """Into an empty database, in one transaction. Raises StepFailed."""
    programs.run(
        "pg_restore",
        *("--exit-on-error", "--single-transaction", "--no-owner", "--dbname", address.conninfo, str(dump)),
        address=address,
    )


def create_database(address: Address, name: str) -> Address:
    """An empty database beside the one of the address; one of that name is dropped first. Raises TargetUnavailable."""
    with address.of("template1").connect() as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    return address.of(name)


def drop_database(address: Address) -> None:
    """Raises TargetUnavailable."""
    with address.of("template1").connect() as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(address.name)))


def fingerprint_of(address: Address) -> Fingerprint:
    """Raises TargetUnavailable."""
    with address.connect(autocommit=False) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return fingerprint(connection)


def _dump(address: Address, part: Path, programs: Programs) -> dict[str, Any]:
    """What is dumped and what is counted is one snapshot, so that they can be compared exactly while writes go on."""
    dump = part / "data.dump"
    with address.connect(autocommit=False) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot, taken_at = connection.execute("SELECT pg_export_snapshot(), clock_timestamp()").fetchall()[0]
        programs.run(
            "pg_dump",
            *("--format=custom", f"--snapshot={snapshot}", "--file", str(dump), "--dbname", address.conninfo),
            address=address,
        )
        contents = fingerprint(connection)
    with dump.open("rb") as file:
        os.fsync(file.fileno())
    scratch = create_database(address, f"chrysalis_check_{uuid4().hex[:12]}")
    try:
        load_dump(dump, scratch, programs)
        if wrong := differences(contents, fingerprint_of(scratch)):
            raise StepFailed(f"backup of {address.name} does not hold what the database held: {'; '.join(wrong[:5])}")
    finally:
        drop_database(scratch)
    return _described(taken_at, dump.stat().st_size, _sha256(dump), contents)


def _base(address: Address, part: Path, programs: Programs) -> dict[str, Any]:
    """Proven by booting a copy of it. Its contents are those of the booted copy: the moment when the backup ended."""
    base = part / "base"
    programs.run(
        "pg_basebackup",
        *("--pgdata", str(base), "--wal-method=stream", "--checkpoint=fast", "--manifest-checksums=SHA256"),
        *("--dbname", address.conninfo),
        address=address,
    )
    with address.connect() as connection:
        taken_at = connection.execute("SELECT clock_timestamp()").fetchall()[0][0]
    _check_manifest(base)
    with (
        tempfile.TemporaryDirectory(prefix="chrysalis-boot-") as folder,
        scratch_server(base, Path(folder), programs) as booted,
    ):
        contents = fingerprint_of(booted.of(address.name))
    size = sum(path.stat().st_size for path in base.rglob("*") if path.is_file())
    return _described(taken_at, size, _sha256(base / "backup_manifest"), contents)


def _check_manifest(base: Path) -> None:
    """Every file against the manifest that PostgreSQL wrote with the backup, as pg_verifybackup does (the one in the wheel
    dies of a segmentation fault). Raises StepFailed."""
    try:
        files = json.loads((base / "backup_manifest").read_bytes())["Files"]
    except (OSError, ValueError, KeyError) as error:
        raise StepFailed(f"base backup {base.parent.name}: its manifest cannot be read ({error}); take a new one") from error
    for one in files:
        path = base / str(one["Path"])
        found = _sha256(path) if path.is_file() else "missing"
        if found != one["Checksum"]:
            said = f"{one['Path']} has checksum {found[:12]}, expected {one['Checksum'][:12]}"
            raise StepFailed(f"base backup {base.parent.name}: {said}; take a new one")


def _described(taken_at: Any, size: int, sha256: str, contents: Fingerprint) -> dict[str, Any]:
    return {"taken_at": taken_at.isoformat(), "bytes": size, "sha256": sha256, "contents": contents}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

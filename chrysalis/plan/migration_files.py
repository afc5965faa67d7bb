"""A folder of migrations as it is on disk: `0001_name.up.sql` and `0001_name.down.sql`, numbered without gaps.

The files are read and refused as a whole before anything runs: a migration without its way back, a gap, two with one
number, a header that is not understood. Headers are comments at the top: `-- chrysalis: expand` (old and new version both
work with it), `-- chrysalis: contract` (the old version no longer does), `-- chrysalis: no-transaction` (one statement that
PostgreSQL runs outside a transaction only, such as CREATE INDEX CONCURRENTLY).
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chrysalis.errors import StepFailed

Direction = Literal["up", "down"]
Kind = Literal["expand", "contract"]

_FILE = re.compile(r"(?P<version>\d+)_(?P<name>[A-Za-z0-9_-]+)\.(?P<direction>up|down)\.sql")
_HEADER = re.compile(r"--\s*chrysalis:\s*(.+)")
_OWN_TRANSACTION = re.compile(r"^\s*(begin|start\s+transaction|commit|rollback)(\s+(work|transaction))?\s*;", re.I | re.M)
_OWN_TRANSACTION_WHY = "each migration runs in a transaction of the migrator's; take the statement out"


@dataclass(frozen=True, slots=True)
class Script:
    """One direction of a migration. `transactional` is False where the header says no-transaction."""

    sql: str
    transactional: bool = True


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. `checksum` is over the way forward; the way back may still be mended afterwards."""

    version: int
    name: str
    """`0001_name`, as the files are called."""
    up: Script
    down: Script
    kind: Kind
    checksum: str

    def script(self, direction: Direction) -> Script:
        return self.up if direction == "up" else self.down


def read_migrations(folder: Path) -> list[Migration]:
    """All migrations of the folder in order. Raises StepFailed with everything that is wrong with it."""
    if not folder.is_dir():
        raise StepFailed(f"migrations: {folder} is not a folder; create it or correct the target's `migrations`")
    problems: list[str] = []
    texts: dict[tuple[int, Direction], tuple[str, str]] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            problems.append(f"{path.name}: expected a name like 0001_what.up.sql or 0001_what.down.sql")
            continue
        direction: Direction = "up" if match["direction"] == "up" else "down"
        key, stem = (int(match["version"]), direction), f"{match['version']}_{match['name']}"
        if key in texts:
            problems.append(f"{path.name}: {texts[key][0]}.{direction}.sql has the same number")
        texts[key] = (stem, path.read_text(encoding="utf-8").replace("\r\n", "\n"))
    versions = sorted({version for version, _ in texts})
    problems += [problem for version in versions for problem in _unpaired(version, texts)]
    expected = range(1, len(versions) + 1)
    if not problems and versions != list(expected):
        missing = min(set(expected) - set(versions))
        problems.append(f"number {missing:04d} is missing, found {', '.join(f'{one:04d}' for one in versions)}")
    migrations: list[Migration] = []
    for version in versions if not problems else ():
        try:
            migrations.append(_migration(version, texts))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise StepFailed(f"migrations in {folder} cannot be used, nothing was changed: " + "; ".join(problems))
    return migrations


def _unpaired(version: int, texts: dict[tuple[int, Direction], tuple[str, str]]) -> list[str]:
    up, down = texts.get((version, "up")), texts.get((version, "down"))
    if up is not None and down is not None:
        return [] if up[0] == down[0] else [f"{up[0]}.up.sql and {down[0]}.down.sql have one number and two names"]
    if up is not None:
        return [f"{up[0]}.up.sql has no {up[0]}.down.sql, its way back"]
    return [f"{down[0]}.down.sql has no {down[0]}.up.sql"] if down is not None else []


def _migration(version: int, texts: dict[tuple[int, Direction], tuple[str, str]]) -> Migration:
    name, up = texts[version, "up"]
    down = texts[version, "down"][1]
    words = _headers(f"{name}.up.sql", up)
    if {"expand", "contract"} <= words:
        raise ValueError(f"{name}.up.sql: found both expand and contract, expected one of them")
    scripts = _script(f"{name}.up.sql", up), _script(f"{name}.down.sql", down)
    kind: Kind = "contract" if "contract" in words else "expand"
    return Migration(version, name, *scripts, kind, hashlib.sha256(up.encode()).hexdigest())


def _script(file: str, sql: str) -> Script:
    if not re.sub(r"--[^\n]*|\s", "", sql):
        raise ValueError(f"{file}: holds no statement; write `SELECT 1;` where there is really nothing to do")
    transactional = "no-transaction" not in _headers(file, sql)
    if transactional and (found := _OWN_TRANSACTION.search(sql)):
        raise ValueError(f"{file}: found {found[0].strip()!r}; {_OWN_TRANSACTION_WHY}")
    return Script(sql, transactional)


def _headers(file: str, sql: str) -> set[str]:
    words: set[str] = set()
    for line in sql.splitlines():
        if line.strip() and not line.lstrip().startswith("--"):
            break
        if match := _HEADER.fullmatch(line.strip()):
            words |= {word.strip() for word in match[1].split(",")}
    if unknown := words - {"expand", "contract", "no-transaction"}:
        raise ValueError(f"{file}: found the header {sorted(unknown)[0]!r}, expected expand, contract or no-transaction")
    return words

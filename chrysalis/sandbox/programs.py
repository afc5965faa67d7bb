"""Other people's programs, each to its end: what it printed, or an error that says what failed, where, and what it said."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from chrysalis.effects.database.own_server import run_as
from chrysalis.errors import SettingsError

TIMEOUT_S = 60.0
_WHO = {"NAME": "sandbox", "EMAIL": "sandbox@localhost"}


def run(
    command: Sequence[str | Path],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    timeout_s: float = TIMEOUT_S,
    told: int = 10,
    advice: str = "",
) -> str:
    """Run it in `folder`; returns its standard output.

    `environment` takes the place of ours, `user` is whom it runs as. Raises SettingsError with the last `told` lines of its
    errors, or of what it printed where it has none; the message ends with `advice`.
    """
    what, then = " ".join(map(str, command)), f"; {advice}" if advice else ""
    try:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            **run_as(user),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as slow:
        raise SettingsError(f"`{what}` took longer than {timeout_s:g} s; is the machine very busy?{then}") from slow
    except FileNotFoundError as missing:
        raise SettingsError(f"{command[0]} is not here{then}") from missing
    if done.returncode != 0:
        said = "\n".join((done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-told:])
        raise SettingsError(f"`{what}` in {folder} ended with {done.returncode}: {said}{then}")
    return done.stdout


def git(folder: Path, *arguments: str) -> None:
    """git in `folder`, as somebody of the sandbox. Raises SettingsError."""
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _WHO.items()}
    run(["git", *arguments], folder, environment={**os.environ, **who})

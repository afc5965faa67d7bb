"""Runs a program: an argument list, never a shell, in a process group of its own that never outlives the call.

The program sees a small fixed environment and the variables named for it, nothing else of ours. The values of the named
variables are taken for secrets: they are replaced in everything that is kept or shown. Of the output only the end is kept,
so that a talkative program costs no memory.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO

from chrysalis.errors import StepFailed

KEPT_BYTES = 32 * 1024
FAILURE_LINES = 10
GRACE_S = 2.0
"""Between SIGTERM and SIGKILL."""
ALWAYS_PASSED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")
MIN_SECRET_CHARACTERS = 4
"""A shorter value (`1`, `on`) is no secret, and replacing it would garble the output."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """A run that ended with 0. `tail` is the end of its output, both streams, secrets replaced."""

    arguments: tuple[str, ...]
    seconds: float
    tail: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended, whatever its exit code; `code` None when time ran out, negative for a signal."""

    code: int | None
    seconds: float
    tail: str


def run_command(
    arguments: Sequence[str],
    *,
    cwd: Path,
    timeout_s: float,
    environment_names: Sequence[str] = (),
    inside: Path | None = None,
) -> CommandResult:
    """Run to the end. `inside` is the folder (the checkout) that `cwd` may not leave.

    Raises StepFailed, with the last lines, when the exit code is not 0, time runs out, or it cannot be started.
    """
    shown = _redacted(" ".join(arguments), _secrets(environment_names))
    ended = run_to_end(arguments, cwd=cwd, timeout_s=timeout_s, environment_names=environment_names, inside=inside)
    if ended.code is None:
        raise StepFailed(
            f"command {shown}: still running after {timeout_s:g} s, ended with all its children{last(ended.tail)}"
        )
    if ended.code != 0:
        raise StepFailed(f"command {shown}: {exit_text(ended.code)}, expected 0{last(ended.tail)}")
    return CommandResult(tuple(arguments), ended.seconds, ended.tail)


def run_to_end(
    arguments: Sequence[str],
    *,
    cwd: Path,
    timeout_s: float,
    environment_names: Sequence[str] = (),
    inside: Path | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Ended:
    """As `run_command`, for whoever judges the exit code. `secrets` are variables to set beside those that are named.

    Raises StepFailed only when it cannot be started.
    """
    kept_secret = _secrets(environment_names) | dict(secrets or {})
    shown = _redacted(" ".join(arguments), kept_secret)
    if not arguments:
        raise StepFailed("command: an empty argument list; name the program first")
    folder = cwd.resolve()
    if inside is not None and not folder.is_relative_to(inside.resolve()):
        raise StepFailed(f"command {shown}: its folder {folder} is not inside {inside.resolve()}; name one that is")
    environment = {name: os.environ[name] for name in ALWAYS_PASSED if name in os.environ} | kept_secret
    started = monotonic()
    try:
        process = subprocess.Popen(
            list(arguments),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise StepFailed(f"command {shown}: cannot be started in {folder} ({error})") from error
    output = _Tail(process.stdout)
    in_time = True
    try:
        process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        in_time = False
    finally:
        # Also after a good end: a child left in the background would hold the output open, and outlive the step.
        _end_group(process)
    tail = _redacted(output.text(), kept_secret)
    return Ended(process.returncode if in_time else None, monotonic() - started, tail)


class _Tail:
    """Reads a pipe to its end in a thread and keeps the last bytes."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None  # noqa: S101 - it was asked for
        self._pipe = pipe
        self._kept = bytearray()
        self._cut = False
        self._thread = threading.Thread(target=self._read, name="command-output", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), 65536):
                self._kept += chunk
                # Twice what is shown, so that a secret cut in half lies in the part that is dropped.
                if len(self._kept) > 2 * KEPT_BYTES:
                    del self._kept[:-KEPT_BYTES]
                    self._cut = True

    def text(self) -> str:
        """What was kept, from a line's beginning. A grandchild in a session of its own may hold the pipe: not waited for."""
        self._thread.join(GRACE_S)
        text = bytes(self._kept).decode(errors="replace")
        return text.partition("\n")[2] or text if self._cut else text


def _secrets(names: Sequence[str]) -> dict[str, str]:
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise StepFailed(f"command: {', '.join(missing)} not set; export them or take them off environment_variables")
    return {name: os.environ[name] for name in names}


def _redacted(text: str, secrets: Mapping[str, str]) -> str:
    # The longest first: one value may be part of another.
    for name, value in sorted(secrets.items(), key=lambda item: -len(item[1])):
        if len(value) >= MIN_SECRET_CHARACTERS:
            text = text.replace(value, f"[{name}]")
    return text


def _end_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def exit_text(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"ended by {signal.Signals(-code).name}"
    return f"ended by signal {-code}"


def last(tail: str) -> str:
    """The last lines of an output, to stand behind a message."""
    lines = [line for line in tail.splitlines() if line.strip()][-FAILURE_LINES:]
    return "; its last lines:\n" + "\n".join(lines) if lines else "; it wrote nothing"

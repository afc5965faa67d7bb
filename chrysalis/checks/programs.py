"""Checks of what runs or stands here: a program's exit code and output, a variable of the environment."""

import re
import shutil
import sys
from pathlib import Path

from chrysalis.checks.result import Context, NotKnown, Verdict
from chrysalis.effects.command import exit_text, last, run_to_end
from chrysalis.errors import StepFailed
from chrysalis.plan.checklist import Command, Env

SHOWN_LINES = 3


def check_command(spec: Command, context: Context) -> Verdict:
    """Run it to its end, without a shell. Raises NotKnown when it cannot be started or time runs out."""
    arguments = [context.fill(one) for one in spec.run]
    timeout_s = spec.timeout.total_seconds()
    folder = context.path(spec.cwd)
    if not folder.is_dir():
        raise NotKnown(f"the folder {folder} is not there")
    if (program := _program(arguments[0], folder)) is None:
        raise NotKnown(f"the program {arguments[0]} is not installed here")
    try:
        ended = run_to_end([program, *arguments[1:]], cwd=folder, timeout_s=timeout_s)
    except StepFailed as error:
        raise NotKnown(str(error)) from error
    if ended.code is None:
        raise NotKnown(f"still running after {timeout_s:g} s, ended{last(ended.tail)}")
    shown = "\n".join([line for line in ended.tail.splitlines() if line.strip()][-SHOWN_LINES:])
    expected = exit_text(spec.exit_code)
    if ended.code != spec.exit_code:
        return Verdict(False, exit_text(ended.code), expected, shown)
    if spec.prints is None:
        return Verdict(True, exit_text(ended.code), expected, shown)
    prints = re.search(spec.prints, ended.tail) is not None
    found = f"it printed {'what was' if prints else 'nothing of what was'} asked for"
    return Verdict(prints, found, f"output that matches {spec.prints!r}", shown)


def check_env(spec: Env, context: Context) -> Verdict:
    """The variable is there, and has the value that is asked for."""
    value = context.variables.get(spec.name, "")
    expected = f"{spec.name} set" if spec.equals is None else f"{spec.name} = {spec.equals!r}"
    if not value:
        return Verdict(False, f"{spec.name} is not set", expected)
    if spec.secret:
        right = spec.equals in (None, value)
        return Verdict(right, f"{spec.name} is set{'' if right else ', to something else'}", f"{spec.name} set as it should")
    return Verdict(spec.equals in (None, value), f"{spec.name} = {value!r}", expected)


def _program(name: str, folder: Path) -> str | None:
    """Where the program is: beside our own interpreter too, so that `chrysalis` is found outside of an active venv."""
    if "/" in name:
        return str(folder / name) if (folder / name).is_file() else None
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))

"""`make systems`: every system forward and back in the sandbox, each with its own faults. See docs/systems.md.

python -m tests.systems                       all cases of all systems
python -m tests.systems --only spiralogic/*   those whose name fits; may be repeated
python -m tests.systems --list                the cases
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from prefect.settings import PREFECT_API_URL, temporary_settings

from chrysalis.local.people import ENROLLED_BY, Authenticators
from chrysalis.local.stack import Stack, StackSettings
from chrysalis.sandbox.profiles import Profile, load_profile, profile_names
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.settings import Settings
from tests.caches import forget
from tests.systems.running import Result, Running
from tests.systems.table import Case, System

SUSPEND_AFTER_S = 60.0
"""A gate that holds for less keeps its process: a new one costs more than the wait on a busy machine."""


def main() -> None:
    arguments = _arguments()
    wanted = {system.plan: (system, _fitting(system, arguments.only)) for system in systems()}
    if arguments.list:
        for system, cases in wanted.values():
            for case in cases:
                say(f"{system.plan}/{case.name}")
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))  # ends what was started, wherever it is
    began = time.monotonic()
    results: list[Result] = []
    for system, cases in wanted.values():
        if cases:
            results += _attached(system, cases, arguments) if arguments.attached else _play(system, cases, arguments)
            _write(results, arguments.json)
    passed = sum(one.passed for one in results)
    say(f"\n{len(results)} tried, {passed} passed in {(time.monotonic() - began) / 60:.1f} min; see {arguments.json}")
    sys.exit(0 if results and passed == len(results) else 1)


def systems() -> list[System]:
    """The tables there are: a module of this folder for each profile that has one."""
    folder = str(Path(__file__).parent)
    tables = {found.name for found in iter_modules([folder])} & set(profile_names())
    return [import_module(f"tests.systems.{name}").SYSTEM for name in sorted(tables)]


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _play(system: System, cases: list[Case], arguments: argparse.Namespace) -> list[Result]:
    """All of a system's cases on one stack."""
    profile = load_profile(system.plan)
    home = Path(tempfile.mkdtemp(prefix=f"chrysalis-systems-{system.plan}-"))
    with Stack(home, StackSettings(profile=profile, suspend_after_s=SUSPEND_AFTER_S)) as stack:
        stack.start(say)
        assert stack.sandbox is not None
        os.environ.update(stack.environment())
        forget()
        with temporary_settings({PREFECT_API_URL: stack.api_url}):
            return _cases(system, cases, profile, stack.sandbox, arguments.patience)


def _attached(system: System, cases: list[Case], arguments: argparse.Namespace) -> list[Result]:
    """The same on a stack that runs already."""
    sandbox = Sandbox.attach(Settings.load().home / "sandbox")
    return _cases(system, cases, load_profile(system.plan), sandbox, arguments.patience)


def _cases(system: System, cases: list[Case], profile: Profile, sandbox: Sandbox, patience: float) -> list[Result]:
    people, results = Authenticators(ENROLLED_BY), []
    for case in cases:
        say(f"\n── {system.plan}/{case.name} ──")
        running = Running(system, case, profile, sandbox, people, say, patience=patience)
        result = running.play()
        results.append(result)
        say(_line(result))
    return results


def _line(result: Result) -> str:
    figures = []
    if result.fault_to_safe_s is not None:
        figures.append(f"fault → safe {result.fault_to_safe_s} s")
    if result.back_s is not None:
        figures.append(f"way back {result.back_s} s")
    figures.append(f"requests {result.requests}")
    said = f"{'passed' if result.passed else 'FAILED'} {result.name} in {result.seconds} s; " + "; ".join(figures)
    return "\n".join([said, *(f"    {trouble}" for trouble in result.troubles)])


def _write(results: list[Result], path: Path) -> None:
    told = {"tried": len(results), "passed": sum(one.passed for one in results), "cases": [one.as_json() for one in results]}
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")


def _fitting(system: System, only: list[str]) -> list[Case]:
    return [case for case in system.cases if any(fnmatch(f"{system.plan}/{case.name}", one) for one in only or ["*"])]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.systems", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="cases with such a name, such as spiralogic/*")
    parser.add_argument("--json", type=Path, default=Path("systems.json"), help="where the result goes")
    parser.add_argument("--patience", type=float, default=1.0, help="wait so many times longer, on a busy machine")
    parser.add_argument("--attached", action="store_true", help="on the stack of `chrysalis up --plan NAME`")
    parser.add_argument("--list", action="store_true", help="only list the cases")
    return parser.parse_args()


if __name__ == "__main__":
    main()

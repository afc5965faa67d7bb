"""`chrysalis up` and `chrysalis demo`: everything on this machine, on free loopback ports, until it is stopped."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from chrysalis.errors import ChrysalisError
from chrysalis.local.stack import Stack, StackSettings
from chrysalis.sandbox.profiles import load_profile
from chrysalis.settings import CHECKOUT, Settings

REPORT = Path("demo-report.json")


def up(plan: Annotated[str, typer.Option(help="Whose sandbox it is; Crystal's when not given.")] = "") -> None:
    """Start Prefect's server, a worker, the watch and the sandbox, and keep them up until Ctrl-C."""
    profile = load_profile(plan) if plan else None
    _end_by_signal()
    with Stack(Settings.load().home, StackSettings(profile=profile)) as stack:
        _start(stack)
        _stay(stack)


def demo(
    plan: Annotated[str, typer.Option(help="Which plan is shown.")] = "crystal",
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything up at the end, until Ctrl-C.")] = False,
) -> None:
    """Roll out twice on live traffic: once to the end, once with a fault on the way that is taken back."""
    from chrysalis.local.demo import Demo
    from chrysalis.local.demo_report import summary, write_report

    profile = load_profile(plan)
    _end_by_signal()
    with Stack(Settings.load().home, StackSettings(profile=profile)) as stack:
        _start(stack)
        os.environ.update(stack.environment())
        runs = Demo(stack, profile, _say).run()
        write_report(runs, REPORT)
        _say(summary(runs))
        _say(f"written to {REPORT}")
        if [run["outcome"] for run in runs] != ["completed", "rolled_back"]:
            raise ChrysalisError("the demo did not end as it should: expected completed, then rolled_back")
        if keep:
            _stay(stack)


def _start(stack: Stack) -> None:
    began = time.monotonic()
    stack.start(_say)
    _say(f"all of it is up after {time.monotonic() - began:.0f} s")


def _stay(stack: Stack) -> None:
    _say(f"\nPrefect's UI: {stack.ui_url}")
    _say("in another terminal, to use the command line with it:")
    _say(f"    export PREFECT_API_URL={stack.api_url} CHRYSALIS_HOME={stack.home} PATH={CHECKOUT / '.venv' / 'bin'}:$PATH")
    _say("Ctrl-C stops all of it")
    while True:
        time.sleep(3600)


def _end_by_signal() -> None:
    def leave(*_: Any) -> NoReturn:
        # A second Ctrl-C must not interrupt the stopping.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _say("\nstopping")
        raise SystemExit(130)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()

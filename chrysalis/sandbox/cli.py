"""`chrysalis sandbox`: up, status, fault, load, down. Mounted by the main program as a group of its own."""

import json
import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from chrysalis.errors import ChrysalisError, SettingsError
from chrysalis.sandbox.sandbox import Sandbox, SandboxSide
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.sandbox.state import State, read_state, sandbox_folder

app = typer.Typer(
    name="sandbox",
    help="Real parts on loopback to roll out on: Envoy, Prometheus, PostgreSQL, two versions.",
    no_args_is_help=True,
)
FAILED = 1
USAGE = 2
Folder = Annotated[
    Path | None,
    typer.Option("--folder", envvar="CHRYSALIS_SANDBOX", help="Where it lies.", show_default=".chrysalis/sandbox"),
]
Side = Annotated[SandboxSide, typer.Argument(help="Which version: stable or canary.")]


@app.command()
def up(
    folder: Folder = None,
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running; `down` ends it.")] = False,
    rate_rps: Annotated[float, typer.Option("--rate", help="Requests a second.")] = SandboxSettings().rate_rps,
    scrape_interval_s: Annotated[float, typer.Option("--scrape", help="Seconds between scrapes.")] = 1.0,
    plan_speed: Annotated[float, typer.Option("--speed", help="Plan seconds per real second.")] = 1.0,
) -> None:
    """Start all parts; without --detach, run until Ctrl-C."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell that starts a program in the background has it ignore SIGINT, which Python leaves so.
        signal.signal(number, signal.default_int_handler)
    try:
        settings = SandboxSettings(rate_rps=rate_rps, scrape_interval_s=scrape_interval_s, plan_speed=plan_speed)
        sandbox = Sandbox.start(sandbox_folder(folder), settings=settings, detach=detach)
    except ChrysalisError as error:
        raise _failure(error) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    _show(sandbox.state)
    if detach:
        return
    with sandbox:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        typer.echo("Ctrl-C ends it.")
        # A wait without a timeout would not let the signal through.
        while not ended.wait(0.5) and sandbox.state.running:
            pass


@app.command()
def status(
    folder: Folder = None, *, as_json: Annotated[bool, typer.Option("--json", help="state.json as it is.")] = False
) -> None:
    """What runs, and where it listens; exit code 1 when no sandbox runs."""
    try:
        state = read_state(sandbox_folder(folder))
        if state is None or not state.running:
            raise SettingsError(f"no sandbox runs in {sandbox_folder(folder)}; start one with `chrysalis sandbox up`")
    except ChrysalisError as error:
        raise _failure(error) from error
    if as_json:
        typer.echo(json.dumps(asdict(state), indent=2))
    else:
        _show(state)


@app.command()
def fault(
    side: Side,
    faults: Annotated[
        list[str] | None, typer.Argument(help="NAME=VALUE, such as error_rate=0.3 latency_ms=800 crash=true.")
    ] = None,
    folder: Folder = None,
    *,
    clear: Annotated[bool, typer.Option("--clear", help="Switch all off first.")] = False,
) -> None:
    """Switch faults of one version on or off; without any, nothing is changed but what --clear says."""
    try:
        sandbox = Sandbox.attach(folder)
        wanted = dict(_parsed(each) for each in faults or [])
        if not wanted and not clear:
            raise SettingsError("name a fault such as error_rate=0.3, or --clear")
        if clear:
            sandbox.clear_faults(side)
        on = sandbox.fault(side, **wanted) if wanted else {}
    except ChrysalisError as error:
        raise _failure(error) from error
    typer.echo(f"{side}: " + (", ".join(f"{name}={value}" for name, value in on.items()) or "no faults"))


@app.command()
def load(
    folder: Folder = None,
    *,
    since_s: Annotated[float, typer.Option("--since", help="Unix seconds.")] = 0.0,
    rate_rps: Annotated[float | None, typer.Option("--rate", help="Change the rate, requests a second.")] = None,
) -> None:
    """What the load generator saw, as JSON; with --rate, change what it sends."""
    try:
        sandbox = Sandbox.attach(folder)
        if rate_rps is not None:
            sandbox.set_load(rate_rps=rate_rps)
        summary = sandbox.load_summary(since_s=since_s)
    except ChrysalisError as error:
        raise _failure(error) from error
    typer.echo(json.dumps(asdict(summary), indent=2))


@app.command()
def down(folder: Folder = None) -> None:
    """End all parts; none running is fine."""
    found = sandbox_folder(folder)
    try:
        state = read_state(found)
    except ChrysalisError as error:
        raise _failure(error) from error
    if state is None or not state.running:
        typer.echo(f"no sandbox runs in {found}")
        return
    Sandbox(found).stop()
    typer.echo(f"the sandbox in {found} has ended")


def _parsed(text: str) -> tuple[str, float | str | bool]:
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise SettingsError(f"{text!r} is not a fault: write NAME=VALUE, such as error_rate=0.3")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    try:
        return name, float(value)
    except ValueError:
        return name, value


def _show(state: State) -> None:
    table = Table(title=f"sandbox in {state.folder}", title_justify="left")
    for heading in ("part", "pid", "restarts", "address"):
        table.add_column(heading)
    addresses = {
        "envoy": f"{state.urls['service']} (admin {state.urls['envoy_admin']})",
        "postgres": state.postgres["uri"],
        **{name: state.urls[name] for name in ("prometheus", "stable", "canary")},
    }
    for name, pid in sorted(state.pids.items()):
        table.add_row(name, str(pid), str(state.restarts.get(name, 0)), addresses.get(name, ""))
    Console(width=140).print(table)


def _failure(error: ChrysalisError) -> typer.Exit:
    typer.echo(f"chrysalis: {error}", err=True)
    return typer.Exit(USAGE if isinstance(error, SettingsError) else FAILED)

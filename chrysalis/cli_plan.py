"""Commands about plan files: check them, read them, and derive from them. None of them changes anything.

Exit codes: 0 sound, 1 the plan has problems (with --live also measurements that cannot decide anything), 2 wrong use.
Problems and warnings go to standard error, a line each, those of all files at once: `file:line:column: path: message`.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from chrysalis.errors import ChrysalisError
from chrysalis.people import People, load_people
from chrysalis.plan import LoadedPlan, Plan, Problem, check_people, load_plan, plan_schema
from chrysalis.plan import timeline as timeline_of
from chrysalis.rules import rules
from chrysalis.settings import Settings

app = typer.Typer(name="plan", help="Check and show plans.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Plans, such as deployments/*/plan.yaml.")]


@app.command()
def check(
    files: Files,
    live: Annotated[bool, typer.Option("--live", help="Also ask the real sources for every metric.")] = False,
) -> None:
    """Say everything that is wrong with the plans, each with its place."""
    plans: dict[Path, LoadedPlan] = {}
    problems: list[str] = []
    for file in dict.fromkeys(files):
        try:
            plans[file] = load_plan(file)
        except ChrysalisError as error:
            problems += str(error).splitlines()
    for file, loaded in plans.items():
        plan = loaded.plan
        found: list[str] = []
        try:
            found = [str(one) for one in _by_people(file, loaded)]
            asked = list(_live(file, plan)) if live else []
        except ChrysalisError as error:
            asked = [("error", f"{file}: {error}")]
        for severity, said in asked:
            found += [said] if severity == "error" else []
            if severity != "error":
                print(said, file=sys.stderr)
        problems += found
        if not found:
            print(f"{file}: sound: {_size(plan)}")
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise typer.Exit(1)


@app.command()
def show(file: Annotated[Path, typer.Argument(metavar="FILE", help="The plan.")]) -> None:
    """The plan as people read it: phases, steps and waits on one time axis."""
    print(timeline_of(load_plan(file).plan))


@app.command()
def schema() -> None:
    """The JSON Schema of a plan, for editors that complete and check while you write."""
    print(json.dumps(plan_schema(), indent=2, ensure_ascii=False))


app.command()(rules)


def _by_people(file: Path, loaded: LoadedPlan) -> list[Problem]:
    """What the people beside the plan, or those of CHRYSALIS_PEOPLE, cannot sign. Raises PlanError, SettingsError."""
    plans = {"CHRYSALIS_PLANS": str(file.resolve().parent.parent)}
    people_file = Settings.load({**os.environ, **plans}).people_file
    people = People.of_plan(loaded.plan) if people_file is None else load_people(people_file).for_plan(loaded.plan)
    return check_people(loaded, people.signers(), str(file))


def _size(plan: Plan) -> str:
    triggers = {name for phase in plan.phase_names for name in plan.triggers_at(phase)}
    counts = ((len(plan.phases), "phase"), (len(plan.itinerary), "step"), (len(triggers), "trigger"))
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)


def _live(file: Path, plan: Plan) -> Iterator[tuple[str, str]]:
    """What the sources say, each with whether it is an error or a warning."""
    from chrysalis.live_check import live_problems
    from chrysalis.wiring import sources

    variables = Settings.load().variables()
    for problem in live_problems(plan, sources(plan, variables), variables):
        yield problem.severity, f"{file}: {problem}"

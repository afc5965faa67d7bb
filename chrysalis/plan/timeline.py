"""A plan as people read it: phases, steps and waits on one time axis."""

from chrysalis.plan.model import Plan, PlannedStep
from chrysalis.plan.steps import Gate, Migrate, Notify, RunCommand, SetFlag, SetWeight, SignOff, SkipWhen, Soak, WaitUntil
from gates.units import format_duration

BAR_WIDTH = 20


def timeline(plan: Plan) -> str:
    """Plain text, a line per step: when it starts at the earliest, the weight reached, what it does."""
    lines = [f"{plan.title or plan.name} · service {plan.service}", ""]
    at_s, weight = 0.0, 0
    for phase in plan.phases:
        lines.append(f"{phase.title or phase.name} (risk {phase.risk})")
        if phase.description:
            lines.append(f"    {phase.description.strip().splitlines()[0]}")
        for step in (step for step in plan.itinerary if step.phase == phase.name):
            if isinstance(step.spec, SetWeight):
                weight = step.spec.to
            filled = round(weight / 100 * BAR_WIDTH)
            bar = "█" * filled + "░" * (BAR_WIDTH - filled)
            lines.append(f"    {_moment(at_s):>7}  {bar} {weight:>3} %  {describe(step)}")
            if isinstance(step.spec, Soak):
                at_s += step.spec.duration.total_seconds()
        lines.append("")
    lines.append(f"{format_duration(at_s)} at the least, without the time that gates and people take")
    if plan.lasting_triggers:
        lines += ["", "Watched all the while:"]
        lines += [f"    {name}: {trigger.describe()}" for name, trigger in plan.lasting_triggers.items()]
    return "\n".join(lines)


def _moment(at_s: float) -> str:
    return "start" if not at_s else "+" + format_duration(at_s)


def describe(step: PlannedStep) -> str:
    """What a step does, in a line."""
    spec = step.spec
    match spec:
        case SetWeight():
            said = f"set weight to {spec.to} %"
        case Soak():
            said = f"soak for {format_duration(spec.duration)}"
        case WaitUntil():
            said = f"wait until {spec.cron} (cron)"
        case SkipWhen():
            said = "look whether this phase is skipped" + (f": {spec.condition.name}" if spec.condition.name else "")
        case Gate():
            said = f"gate: {len(spec.conditions)} conditions"
        case SignOff():
            said = f"sign-off by {spec.rule}" + (" (point of no return)" if spec.point_of_no_return else "")
        case SetFlag():
            said = "set " + ", ".join(f"{name}={value}" for name, value in spec.values.items())
        case Notify():
            said = f"tell people: {spec.message}"
        case RunCommand():
            said = "run " + " ".join(spec.run)
        case Migrate():
            said = f"migrate {spec.target}"
        case _:
            said = step.kind.replace("_", " ")
    return f"{said} [{spec.name}]" if spec.name else said

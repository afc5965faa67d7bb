"""Commands about checklists: run what a machine can check, attest the rest, show how it stands.

Exit codes of `run`: 0 every checked item passed, 1 at least one did not, 2 wrong use.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from chrysalis.checks import Result
from chrysalis.cli_common import By, Json, acting, print_json, wake
from chrysalis.clock import utc_now
from chrysalis.errors import SettingsError
from chrysalis.ledger import Ledger
from chrysalis.plan import Plan, load_plan
from chrysalis.plan.checklist import Item
from chrysalis.plan.steps import Checklist
from gates.checklist import Decision, Status
from gates.units import parse_duration
from tasks import checklist as checklists
from tasks.checklist_page import SIGN, Page, by_whom, html, markdown, settled_of
from tasks.workspace import Workspace, open_ledger, settings

app = typer.Typer(name="checklist", no_args_is_help=True)

What = Annotated[str, typer.Argument(metavar="PLAN|FILE", help="A plan's folder below deployments/, or a checklist's file.")]
ListName = Annotated[str, typer.Option("--list", help="Only this one of the plan's checklists.")]
Sections = Annotated[list[str] | None, typer.Option("--section", help="Only this section; may be repeated.")]
PhaseName = Annotated[str, typer.Option("--phase", help="Only what the checklist steps of this phase of the plan ask for.")]
OfRollout = Annotated[str, typer.Option("--rollout", help="For this rollout: its variables, and what was attested for it.")]
STYLE = {
    Status.PASSED: "green",
    Status.FAILED: "bold red",
    Status.NOT_KNOWN: "yellow",
    Status.OPEN: "yellow",
    Status.EXPIRED: "yellow",
    Status.NOT_APPLICABLE: "dim",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One list and the items of it that a command is about."""

    named: checklists.NamedList
    items: tuple[Item, ...]


@app.command()
def run(
    what: What,
    list_name: ListName = "",
    section: Sections = None,
    phase: PhaseName = "",
    rollout: OfRollout = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Check what a machine can, in parallel, and keep the result. A step that waits for it looks again at once."""
    ledger, pages = open_ledger(), []
    workspace = Workspace.open(rollout, 0) if rollout else None
    variables = workspace.variables if workspace else settings().variables()
    for asked in _asked(what, list_name, section, phase):
        context = checklists.checks_context(settings(), variables, utc_now())
        with _Progress(asked, quiet=as_json) as advance:
            page = checklists.look(ledger, asked.named, asked.items, context, rollout_id=rollout or None, done=advance.hear)
        ledger.record_checklist_run(
            asked.named.name,
            list_hash=asked.named.hash,
            by=acting(by),
            decision=page.decision,
            reason=page.reason,
            results=page.as_json(),
            now=utc_now(),
            rollout_id=rollout or None,
        )
        pages.append(page)
    if as_json:
        print_json([page.as_json() for page in pages])
    else:
        _print(pages)
    if workspace is not None and checklists.check_again(workspace, by=acting(by)):
        wake(workspace.rollout, f"{acting(by)} checked the list again")
    checked = [row for page in pages for row in page.rows if row.role is None]
    if any(row.standing.status not in (Status.PASSED, Status.NOT_APPLICABLE) for row in checked):
        raise typer.Exit(1)


@app.command()
def attest(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The item's id, such as docs.runbook.")],
    by: By = "",
    evidence: Annotated[str, typer.Option(help="What shows it: a link or a text.")] = "",
    expires: Annotated[str, typer.Option(help="Shorter than the list's own time, such as 7d.")] = "",
    plan: Annotated[str, typer.Option(help="The plan, where several have the item.")] = "",
    rollout: Annotated[str, typer.Option("--rollout", help="Counts for this rollout only.")] = "",
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take your word back; --evidence says why.")] = False,
    as_json: Json = False,
) -> None:
    """Say that an item is so, by name and role, with evidence and until it expires."""
    ledger = open_ledger()
    workspace = Workspace.open(rollout, 0) if rollout else None
    owner, named = _home_of(item, plan or (workspace.rollout.plan_name if workspace else ""))
    who = workspace.plan if workspace else owner
    try:
        shorter = parse_duration(expires) if expires else None
    except ValueError as error:
        raise SettingsError(f"--expires: {error}") from error
    kept = checklists.attest(
        ledger,
        who,
        named,
        named.checklist.item(item),
        person=acting(by),
        evidence=evidence,
        expires=shorter,
        rollout_id=rollout or None,
        withdraw=withdraw,
    )
    if as_json:
        told = {"item": kept.item, "list": kept.list, "by": kept.person, "role": kept.role, "evidence": kept.evidence}
        print_json({**told, "expires_at": kept.expires_at, "withdrawn": kept.withdrawn, "rollout": kept.rollout_id})
    elif withdraw:
        print(f"{item}: {kept.person} ({kept.role}) takes it back: {kept.evidence}")
    else:
        print(f"{item}: attested by {kept.person} ({kept.role}) until {kept.expires_at:%Y-%m-%d %H:%M} UTC")


@app.command()
def show(
    what: What,
    list_name: ListName = "",
    section: Sections = None,
    phase: PhaseName = "",
    rollout: OfRollout = "",
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_html: Annotated[bool, typer.Option("--html", help="Print a stand-alone page.")] = False,
    as_json: Json = False,
) -> None:
    """How it stands: the last results of what a machine checks, and what is attested now. Nothing is run."""
    pages = [_standing(open_ledger(), asked, rollout) for asked in _asked(what, list_name, section, phase)]
    if as_json:
        print_json([page.as_json() for page in pages])
    elif as_markdown or as_html:
        print("\n".join(html(page) if as_html else markdown(page) for page in pages), end="")
    else:
        _print(pages)


def _standing(ledger: Ledger, asked: Asked, rollout: str) -> Page:
    """The newest result of each item in the runs that are kept, and the attestations as they stand now."""
    wanted = {item.id: checklists.item_hash(item) for item in asked.items}
    results: dict[str, Result] = {}
    for kept in ledger.checklist_runs(asked.named.name, rollout_id=rollout or None, limit=100):
        for one in kept.results["results"]:
            if (told := one.get("check")) and one["item"] in wanted and one["item"] not in results:
                aged = f"{told['found']} (checked {kept.at:%Y-%m-%d %H:%M} UTC)"
                results[one["item"]] = Result(**{**told, "status": Status(told["status"]), "found": aged})
    context = checklists.checks_context(settings(), {}, utc_now())
    return checklists.look(ledger, asked.named, asked.items, context, rollout_id=rollout or None, results=results)


def _asked(what: str, list_name: str, sections: list[str] | None, phase: str) -> Iterator[Asked]:
    """Every list that the arguments mean. Raises SettingsError, PlanError."""
    if Path(what).suffix in (".yaml", ".yml"):
        if phase or list_name:
            raise SettingsError("--phase and --list are of a plan; a file has sections")
        named = checklists.open_list(Path(what), settings())
        yield Asked(named, named.checklist.items_of(sections or ()))
        return
    plan = load_plan(settings().plan_file(what)).plan
    if not plan.checklists:
        raise SettingsError(f"{what} names no checklist")
    if phase and phase not in plan.phase_names:
        raise SettingsError(f"{what} has no phase {phase!r}; it has: {', '.join(plan.phase_names)}")
    lists = {
        name: checklists.list_of_plan(plan, name, settings()) for name in ([list_name] if list_name else plan.checklists)
    }
    known = [section for named in lists.values() for section in named.checklist.section_names]
    if unknown := [one for one in sections or () if one not in known]:
        raise SettingsError(f"{what} has no section {unknown[0]!r}; it has: {', '.join(known)}")
    asked = [(named, _sections_of(plan, phase, name, named)) for name, named in lists.items()]
    chosen = [(named, [one for one in of_it if not sections or one in sections]) for named, of_it in asked]
    if not any(of_it for _, of_it in chosen):
        raise SettingsError(f"{what} asks for none of it in phase {phase}; see `chrysalis plan show`")
    yield from (Asked(named, named.checklist.items_of(of_it)) for named, of_it in chosen if of_it)


def _sections_of(plan: Plan, phase: str, name: str, named: checklists.NamedList) -> list[str]:
    if not phase:
        return list(named.checklist.section_names)
    steps = [step for step in plan.phase(phase).steps if isinstance(step, Checklist) and step.list == name]
    wanted = {section for step in steps for section in step.sections or named.checklist.section_names}
    return [section for section in named.checklist.section_names if section in wanted]


def _home_of(item: str, plan: str) -> tuple[Plan, checklists.NamedList]:
    """The plan and the list that have the item. Raises SettingsError for none, and for several that differ."""
    found: dict[str, tuple[Plan, checklists.NamedList]] = {}
    for name in [plan] if plan else settings().plan_names():
        loaded = load_plan(settings().plan_file(name)).plan
        for list_name in loaded.checklists:
            named = checklists.list_of_plan(loaded, list_name, settings())
            has_it = any(one.id == item for one in named.checklist.items)
            # The plan beside which the file stands speaks for it; others only borrow it.
            if has_it and (named.name not in found or named.name.startswith(f"{loaded.name}/")):
                found[named.name] = (loaded, named)
    if not found:
        raise SettingsError(f"no checklist of {plan or 'any plan'} has an item {item!r}; see `chrysalis checklist show`")
    if len(found) > 1:
        raise SettingsError(f"{item} is in {', '.join(sorted(found))}; say which with --plan")
    return next(iter(found.values()))


class _Progress:
    """A bar on standard error while checks run, with the item that ended last."""

    def __init__(self, asked: Asked, *, quiet: bool) -> None:
        self._total = sum(item.check is not None for item in asked.items)
        self._bar = Progress(
            TextColumn("{task.fields[title]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            transient=True,
            disable=quiet or not self._total,
        )
        self._title = asked.named.checklist.title

    def __enter__(self) -> "_Progress":
        self._bar.start()
        self._task = self._bar.add_task("", total=self._total, title=self._title)
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def hear(self, result: Result) -> None:
        self._bar.update(self._task, advance=1, description=f"{SIGN[result.status]} {result.item}")


def _print(pages: list[Page]) -> None:
    console = Console(highlight=False, soft_wrap=False)
    for page in pages:
        console.print(Text(page.title, style="bold"))
        for name, rows in page.sections():
            table = Table(title=f"{name}: {settled_of(rows)}", title_justify="left", box=None, padding=(0, 1), expand=True)
            for column, ratio in (("", None), ("item", 3), ("by", None), ("how it stands", 4)):
                table.add_column(column, ratio=ratio, overflow="fold", no_wrap=ratio is None)
            for row in rows:
                status = row.standing.status
                table.add_row(
                    Text(f"{SIGN[status]} {status.value}", style=STYLE[status]),
                    Text.assemble(f"{row.group}: {row.text}" if row.group else row.text, "\n", (row.standing.item, "dim")),
                    Text(by_whom(row)),
                    Text(row.standing.reason),
                )
            console.print(table)
        style = {Decision.GO: "bold green", Decision.NO_GO: "bold red", Decision.NOT_YET: "bold yellow"}[page.decision]
        console.print(Text(page.decision.value, style=style), Text(f"{page.reason}"))

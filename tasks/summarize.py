"""The summaries as tasks: made from the ledger, shown in the UI with a picture of each rollout's course, and sent."""

from collections.abc import Sequence
from datetime import datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from chrysalis.clock import utc_now
from chrysalis.errors import SettingsError
from gates.units import parse_duration
from tasks.artifacts import artifact_key, show_markdown, show_picture
from tasks.course import picture
from tasks.notify import said, tell
from tasks.summary import REACH, TITLES, Kind, Section, concerned, document, section
from tasks.workspace import Workspace, open_ledger

WAIT_S = 5.0


def reaches_to(kind: Kind, since: str, now: datetime) -> datetime:
    """From when on a summary tells. Raises SettingsError for a `since` that is no duration."""
    try:
        return now - (parse_duration(since) if since else REACH[kind])
    except ValueError as error:
        raise SettingsError(f"since: {error}") from error


def concerned_now(kind: Kind, since: str) -> list[str]:
    """The rollouts that the summary tells of."""
    return [one.id for one in concerned(open_ledger(), reaches_to(kind, since, utc_now()))]


def written(kind: Kind, since: str) -> str:
    """The whole summary as Markdown."""
    now = utc_now()
    start = reaches_to(kind, since, now)
    return document(kind, [_section(rollout_id, kind, since) for rollout_id in concerned_now(kind, since)], start, now)


def _section(rollout_id: str, kind: Kind, since: str) -> Section:
    now = utc_now()
    return section(Workspace.open(rollout_id, 0), kind, reaches_to(kind, since, now), now)


@task(name="summarize", task_run_name="summarize {rollout_id}", persist_result=False, cache_policy=NO_CACHE)
def summarize(rollout_id: str, kind: Kind, since: str) -> Section:
    """One rollout's part, and the picture of its course as an artifact."""
    show_picture(
        artifact_key(rollout_id, "course"), picture(Workspace.open(rollout_id, 0), utc_now()), f"{rollout_id}: its course"
    )
    return _section(rollout_id, kind, since)


@task(name="show", task_run_name="show the {kind} summary", persist_result=False, cache_policy=NO_CACHE)
def show_summary(kind: Kind, since: str, sections: Sequence[Section]) -> None:
    """The summary as a page in the UI."""
    now = utc_now()
    show_markdown(f"{kind}-report", document(kind, sections, reaches_to(kind, since, now), now), TITLES[kind])


@task(name="tell", task_run_name="tell of {section.rollout_id}", persist_result=False, cache_policy=NO_CACHE)
def tell_summary(kind: Kind, section: Section) -> str:
    """Send a rollout's part to the plan's channels for it, once a day."""
    workspace = Workspace.open(section.rollout_id, 0)
    key = f"{section.rollout_id}:{kind}:{utc_now():%Y-%m-%d}"
    deliveries = tell(
        workspace, "info", section.title, section.text, channels=section.audience, key=key, markdown=True, wait_s=WAIT_S
    )
    return said(deliveries)

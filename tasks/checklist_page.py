"""How a checklist stands, as a page: for the terminal's programs as JSON, for the Prefect UI as Markdown, alone as HTML."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import groupby
from typing import Any

from chrysalis.checks import Result
from gates.checklist import SETTLED, Decision, Standing, Status

SIGN = {
    Status.PASSED: "✓",
    Status.NOT_APPLICABLE: "–",
    Status.NOT_KNOWN: "?",
    Status.OPEN: "☐",
    Status.EXPIRED: "⌛",
    Status.FAILED: "✗",
}
_MARKDOWN = str.maketrans({one: f"\\{one}" for one in "\\`*_[]<>|#"})


@dataclass(frozen=True, slots=True)
class Row:
    """One item: what it says, who attests it (None: a machine checks it), how it stands."""

    section: str
    group: str
    text: str
    role: str | None
    standing: Standing
    result: Result | None


@dataclass(frozen=True, slots=True)
class Page:
    """How a list, or sections of it, stood at one time."""

    title: str
    at: datetime
    rows: tuple[Row, ...]
    decision: Decision
    reason: str

    @property
    def to_attest(self) -> list[str]:
        """The items that wait for a person."""
        return [row.standing.item for row in self.rows if row.role is not None and row.standing.status not in SETTLED]

    def summary(self) -> dict[str, Any]:
        """For the journal: the decision, why, and how many items stand how."""
        counts = Counter(row.standing.status.value for row in self.rows)
        return {"decision": self.decision.value, "reason": self.reason, "items": dict(counts)}

    def as_json(self) -> dict[str, Any]:
        """For programs and the ledger."""
        items = [
            {
                "item": row.standing.item,
                "section": row.section,
                "text": row.text,
                "role": row.role,
                "status": row.standing.status.value,
                "reason": row.standing.reason,
                **({} if row.result is None else {"check": row.result.as_json()}),
            }
            for row in self.rows
        ]
        return {"title": self.title, "at": self.at.isoformat(), **self.summary(), "results": items}

    def sections(self) -> Iterator[tuple[str, list[Row]]]:
        """The rows by section, in the list's order."""
        for name, rows in groupby(self.rows, key=lambda row: row.section):
            yield name, list(rows)


def settled_of(rows: list[Row]) -> str:
    """`3 of 5`."""
    return f"{sum(row.standing.status in SETTLED for row in rows)} of {len(rows)}"


def by_whom(row: Row) -> str:
    """Who says how an item stands."""
    return "machine" if row.role is None else row.role.replace("_", " ")


def markdown(page: Page) -> str:
    """A page that reads well even where Markdown is not rendered. What people wrote is shown, never rendered."""
    lines = [
        f"# {page.title.translate(_MARKDOWN)}",
        "",
        f"**{page.decision.value}**: {page.reason.translate(_MARKDOWN)}",
        "",
    ]
    lines += [f"As of {page.at:%Y-%m-%d %H:%M:%S} UTC.", ""]
    for name, rows in page.sections():
        lines += [f"## {name.translate(_MARKDOWN)}: {settled_of(rows)}", ""]
        lines += ["|  | item | by | how it stands |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {SIGN[row.standing.status]} {row.standing.status.value} | {_cell(_text(row))} | {by_whom(row)} "
            f"| {_cell(row.standing.reason)} |"
            for row in rows
        ]
        lines.append("")
    return "\n".join(lines)


_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #d8dee6; }
td:first-child { white-space: nowrap; } td:last-child { overflow-wrap: anywhere; white-space: pre-line; }
.passed { color: #17703c; } .failed, .no-go { color: #b3261e; font-weight: 600; } .go { color: #17703c; }
.open, .expired, .not-known, .not-yet { color: #8a5a00; } .not-applicable { color: #66707c; }
code { color: #66707c; font-size: .85em; }
"""


def html(page: Page) -> str:
    """A document of its own that loads nothing from anywhere."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{escape(page.title)}</title><style>{_STYLE}</style><h1>{escape(page.title)}</h1>",
        f'<p><strong class="{_css(page.decision)}">{page.decision.value}</strong>: {escape(page.reason)}</p>',
        f"<p>As of {page.at:%Y-%m-%d %H:%M:%S} UTC.</p>",
    ]
    for name, rows in page.sections():
        parts.append(f"<h2>{escape(name)}: {settled_of(rows)}</h2><table>")
        parts.append("<tr><th scope=col>status<th scope=col>item<th scope=col>by<th scope=col>how it stands</tr>")
        parts += [
            f'<tr><td class="{_css(row.standing.status)}">{SIGN[row.standing.status]} {row.standing.status.value}'
            f"<td>{escape(_text(row))}<br><code>{escape(row.standing.item)}</code>"
            f"<td>{escape(by_whom(row))}<td>{escape(row.standing.reason)}</tr>"
            for row in rows
        ]
        parts.append("</table>")
    return "\n".join(parts) + "\n</html>\n"


def _css(status: Status | Decision) -> str:
    return status.value.replace(" ", "-")


def _text(row: Row) -> str:
    return f"{row.group}: {row.text}" if row.group else row.text


def _cell(text: str) -> str:
    return " ".join(text.split()).translate(_MARKDOWN)

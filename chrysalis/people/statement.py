"""What somebody signs with an SSH key: a short text that says all that matters, and the same text byte for byte later.

chrysalis sign-off 1
rollout: crystal-7
step: hybrid.10.sign_off
decision: approve
by: pia
release: 2.1.0
plan: 9f2c…        (SHA-256 of the plan's text)
findings: 41d0…    (SHA-256 of the canonical JSON of the findings shown)
comment: "go"      (a JSON string, so that it is one line)
at: 2026-11-21T12:00:00+00:00
"""

import json
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from chrysalis.errors import NotAllowed

FIRST_LINE = "chrysalis sign-off 1"
QUOTED = ("comment", "release")
"""What people write freely; a JSON string, so that it is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One decision on one step, and what it was made on."""

    rollout: str
    step: str
    decision: str
    by: str
    release: str
    plan: str
    findings: str
    comment: str
    at: datetime

    def text(self) -> str:
        """The canonical text."""
        lines = [FIRST_LINE]
        for part in fields(self):
            value = getattr(self, part.name)
            written = value.isoformat() if isinstance(value, datetime) else value
            lines.append(f"{part.name}: {json.dumps(written) if part.name in QUOTED else written}")
        return "\n".join(lines) + "\n"


def parse_statement(text: str) -> Statement:
    """The statement of a text. Raises NotAllowed for anything but a canonical one."""
    lines = text.split("\n")
    names = [part.name for part in fields(Statement)]
    try:
        if lines[0] != FIRST_LINE:
            raise ValueError("its first line")
        pairs = dict(line.split(": ", 1) for line in lines[1:-1])
        values: dict[str, Any] = {name: json.loads(pairs[name]) if name in QUOTED else pairs[name] for name in names}
        made = Statement(**values | {"at": datetime.fromisoformat(values["at"])})
        if made.at.tzinfo is None or made.text() != text:
            raise ValueError("its form")
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise NotAllowed(
            f"the signed text is not one of ours ({error}); have `chrysalis sign-offs text` write it, and sign it unchanged"
        ) from None
    return made

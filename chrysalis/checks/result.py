"""What a check says, and what it is given to work with.

A check returns Verdict for an answer, right or wrong, and raises NotKnown where it got none: the two are never mixed up,
and neither is a pass by default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from chrysalis.errors import ChrysalisError, SettingsError
from chrysalis.settings import fill_in
from gates.checklist import Status


class NotKnown(ChrysalisError):
    """The check got no answer, so that the item is neither passed nor failed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer: what was found and what was expected, in words, and what else shows it."""

    passed: bool
    found: str
    expected: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """How one item's check went. `seconds` is what it took; texts have no secret in them."""

    item: str
    status: Status
    found: str
    expected: str
    evidence: str
    seconds: float

    @property
    def reason(self) -> str:
        """Both operands, and for what failed what else shows it."""
        if self.status is not Status.FAILED:
            return self.found
        said = f"{self.found}, expected {self.expected}" if self.expected else self.found
        return f"{said}: {'; '.join(self.evidence.splitlines())}" if self.evidence else said

    def as_json(self) -> dict[str, object]:
        return {
            "item": self.item,
            "status": self.status.value,
            "found": self.found,
            "expected": self.expected,
            "evidence": self.evidence,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Context:
    """What every check may use: the environment's variables, the time, where relative paths begin, where backups are."""

    variables: Mapping[str, str]
    now: datetime
    folder: Path
    backups: Path

    def fill(self, text: str) -> str:
        """`text` with its variables filled in. Raises NotKnown that names the one that is not set."""
        try:
            return fill_in(text, self.variables, where="check")
        except SettingsError as error:
            raise NotKnown(str(error).removeprefix("check: ").partition(";")[0]) from error

    def path(self, text: str) -> Path:
        """A path, relative ones below `folder`. Raises NotKnown."""
        return self.folder / self.fill(text)

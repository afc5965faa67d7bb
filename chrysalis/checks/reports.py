"""Checks of what a pipeline wrote: JUnit and Cobertura XML, coverage.py's JSON. A report that is too old shows nothing.

How old a report is: by its own timestamp where it has one (without a zone it is read as UTC) or its file's time, whichever
is older, so that copying an old report does not renew it.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from chrysalis.checks.bounds import compare
from chrysalis.checks.result import Context, NotKnown, Verdict
from chrysalis.plan.checklist import Coverage, JUnitReport
from gates.units import format_duration

MAX_BYTES = 64 * 2**20
SHOWN = 5
_MILLISECONDS_FROM = 1e11
"""Cobertura writes milliseconds, coverage.py once wrote seconds."""


def check_test_report(spec: JUnitReport, context: Context) -> Verdict:
    """Enough tests match, and none of them failed or was skipped. Raises NotKnown."""
    path = context.path(spec.file)
    root = _xml(path)
    if root.tag not in ("testsuites", "testsuite"):
        raise NotKnown(f"{path.name} is no JUnit report: its root is <{root.tag}>")
    stamps = [_moment(suite.get("timestamp")) for suite in root.iter("testsuite")]
    require_fresh(path, [one for one in stamps if one is not None], spec.max_age, context.now)
    pattern = re.compile(spec.matching)
    cases = [case for case in root.iter("testcase") if pattern.search(_name(case))]
    bad = [f"{_name(case)} {how}" for case in cases if (how := _trouble(case))]
    seconds = sum(float(case.get("time") or 0) for case in cases)
    which = f" that match {spec.matching!r}" if spec.matching else ""
    found = f"{len(cases)} tests{which}, {len(bad)} of them failed or skipped"
    expected = f"at least {spec.tests}, 0 failed or skipped"
    if spec.within is not None:
        found += f", in {seconds:.1f} s"
        expected += f", in less than {format_duration(spec.within)}"
    in_time = spec.within is None or seconds < spec.within.total_seconds()
    return Verdict(len(cases) >= spec.tests and not bad and in_time, found, expected, "\n".join(bad[:SHOWN]))


def check_coverage(spec: Coverage, context: Context) -> Verdict:
    """The share of lines covered below the paths. Raises NotKnown, also when a path has no line in the report."""
    path = context.path(spec.file)
    stamp, lines = _from_json(path) if path.suffix == ".json" else _from_cobertura(path)
    require_fresh(path, [] if stamp is None else [stamp], spec.max_age, context.now)
    counted = {one: [0, 0] for one in spec.paths or ("",)}
    for name, hit, total in lines:
        for folder, sums in counted.items():
            if _is_below(name, folder):
                sums[0] += hit
                sums[1] += total
    if empty := [one or "any file" for one, (_, total) in counted.items() if not total]:
        raise NotKnown(f"{path.name} has no line of {', '.join(empty)}")
    covered, total = (sum(one[n] for one in counted.values()) for n in (0, 1))
    shown = "\n".join(f"{one or 'all'}: {hit} of {all_} lines" for one, (hit, all_) in counted.items())
    verdict = compare("line coverage", covered / total, "above", spec.above, "ratio")
    return Verdict(verdict.passed, verdict.found, verdict.expected, shown)


def require_file(path: Path) -> bytes:
    """What is in a report's file. Raises NotKnown."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise NotKnown(f"{path} is over {MAX_BYTES >> 20} MB, which is no report")
        return path.read_bytes()
    except OSError as error:
        raise NotKnown(f"{path}: cannot be read ({error.strerror})") from error


def require_json(path: Path) -> Any:
    """A report's JSON. Raises NotKnown."""
    try:
        return json.loads(require_file(path))
    except ValueError as error:
        raise NotKnown(f"{path.name} is no JSON ({error})") from error


def require_fresh(path: Path, stamps: list[datetime], max_age: timedelta, now: datetime) -> None:
    """Raises NotKnown for a report whose file, or oldest part, is older than it may be."""
    of_file = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    age = now - min([of_file, *stamps])
    if age > max_age:
        raise NotKnown(f"{path.name} is {format_duration(age // timedelta(minutes=1) * timedelta(minutes=1))} old, "
                       f"expected at most {format_duration(max_age)}")  # fmt: skip


def _xml(path: Path) -> ElementTree.Element:
    try:
        # The pipeline's own file, bounded in size; expat refuses entities that grow beyond it.
        return ElementTree.fromstring(require_file(path))  # noqa: S314
    except ElementTree.ParseError as error:
        raise NotKnown(f"{path.name} is no XML ({error})") from error


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname', '')} {case.get('name', '')}".strip()


def _trouble(case: ElementTree.Element) -> str:
    tags = {child.tag for child in case}
    return next((word for word in ("failure", "error", "skipped") if word in tags), "")


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


Lines = list[tuple[str, int, int]]
"""File, lines covered, lines there are."""


def _from_cobertura(path: Path) -> tuple[datetime | None, Lines]:
    root = _xml(path)
    if root.tag != "coverage":
        raise NotKnown(f"{path.name} is no Cobertura report: its root is <{root.tag}>")
    return _epoch(root.get("timestamp")), list(_classes(root))


def _classes(root: ElementTree.Element) -> Iterator[tuple[str, int, int]]:
    for one in root.iter("class"):
        hits = [int(line.get("hits") or 0) for line in one.findall("lines/line")]
        yield one.get("filename", ""), sum(hit > 0 for hit in hits), len(hits)


def _from_json(path: Path) -> tuple[datetime | None, Lines]:
    told = require_json(path)
    try:
        lines = [
            (name, int(one["summary"]["covered_lines"]), int(one["summary"]["num_statements"]))
            for name, one in told["files"].items()
        ]
        return _moment(told.get("meta", {}).get("timestamp")), lines
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise NotKnown(f"{path.name} is no coverage.py report ({type(error).__name__}: {error})") from error


def _epoch(text: str | None) -> datetime | None:
    try:
        stamp = float(text or "")
        return datetime.fromtimestamp(stamp / 1000 if stamp > _MILLISECONDS_FROM else stamp, UTC)
    except (ValueError, OverflowError):
        return None


def _is_below(name: str, folder: str) -> bool:
    told, wanted = name.removeprefix("./"), folder.strip("/")
    return not wanted or told == wanted or told.startswith(f"{wanted}/") or f"/{wanted}/" in told

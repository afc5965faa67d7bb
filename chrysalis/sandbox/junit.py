"""JUnit reports, as a service's pipeline writes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree


@dataclass(frozen=True, slots=True)
class Case:
    """One test; an empty `failure` is a pass."""

    name: str
    seconds: float
    failure: str = ""


def junit(suite: str, cases: Sequence[Case]) -> str:
    """The report of one suite that has just ended."""
    failures = sum(1 for case in cases if case.failure)
    facts = {"name": suite, "tests": str(len(cases)), "failures": str(failures), "timestamp": datetime.now(UTC).isoformat()}
    root = ElementTree.Element("testsuite", facts)
    for case in cases:
        one = ElementTree.SubElement(
            root, "testcase", {"classname": suite, "name": case.name, "time": f"{case.seconds:.3f}"}
        )
        if case.failure:
            ElementTree.SubElement(one, "failure", {"message": case.failure})
    return ElementTree.tostring(root, encoding="unicode")

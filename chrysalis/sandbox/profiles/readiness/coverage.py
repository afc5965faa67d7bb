"""Coverage of the checkout's sources, as V8 counts it while they run, written as Cobertura XML."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree

from chrysalis.sandbox.programs import run

_RUN = """\
const Module = require('module');
Module._extensions['.ts'] = Module._extensions['.js'];
const { processField } = require('./lib/fieldProtocol/parallelFieldProcessor.ts');
const { coherence } = require('./lib/fieldProtocol/coherence.ts');
const { weather } = require('./components/fieldProtocol/weather.ts');
const assert = require('assert');
assert.equal(processField({ strength: 3 }), 3);
assert.equal(coherence([]), 0);
assert.equal(coherence([0.5, 0.9]), 0.7);
assert.deepEqual([0.7, 0.5, 0.1].map(weather), ['flowing', 'still', 'stormy']);
"""


def measure_coverage(repository: Path, report: Path) -> None:
    """Run the sources' own tests and write which of their lines ran."""
    script, found = repository / "cover.js", repository / ".next" / "coverage"
    script.write_text(_RUN, encoding="utf-8")
    run(["node", "cover.js"], repository, environment={**os.environ, "NODE_V8_COVERAGE": str(found)})
    root = ElementTree.Element("coverage")
    classes = ElementTree.SubElement(ElementTree.SubElement(root, "packages"), "classes")
    told = [one for file in found.glob("*.json") for one in json.loads(file.read_text())["result"]]
    for one in told:
        path = Path(one["url"].removeprefix("file://"))
        if path.suffix != ".ts":
            continue
        named = ElementTree.SubElement(classes, "class", {"filename": path.relative_to(repository).as_posix()})
        lines = ElementTree.SubElement(named, "lines")
        for number, hits in _lines(path.read_text(encoding="utf-8"), one["functions"]):
            ElementTree.SubElement(lines, "line", {"number": str(number), "hits": str(hits)})
    report.write_text(ElementTree.tostring(root, encoding="unicode"), encoding="utf-8")


def _lines(source: str, functions: list[dict[str, list[dict[str, int]]]]) -> list[tuple[int, int]]:
    """Each line with something on it, and how often it ran: the count of the innermost range around it."""
    ranges = [each for function in functions for each in function["ranges"]]
    found, offset = [], 0
    for number, line in enumerate(source.splitlines(keepends=True), start=1):
        middle = offset + len(line) - len(line.lstrip())
        around = [one for one in ranges if one["startOffset"] <= middle < one["endOffset"]]
        if line.strip():
            inner = min(around, key=lambda one: one["endOffset"] - one["startOffset"], default={"count": 0})
            found.append((number, inner["count"]))
        offset += len(line)
    return found

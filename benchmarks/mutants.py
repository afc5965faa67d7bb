"""Mutation testing of gates/ with mutmut: how many changed copies of the code the tests of gates/ tell from the right one.

`python -m benchmarks.mutants [FILE ...]` changes gates/FILE.py in each of mutmut's ways and runs, against every mutant, the
tests that reach the changed function. It prints a line a file and every survivor, and exits 1 when a survivor is neither
in tests/gates/equivalent_mutants.txt nor a change of words only. `--report` runs nothing and shows the last results.
`--own` takes only the tests named after the files, which is quick; what survives those, `--resume` runs against all.

mutmut leaves functions with a decorator alone, so the copy it works on has properties, validators and caches written as
calls (`passed = property(passed)`). What is outside of functions (constants, defaults of fields) it does not change.
"""

import argparse
import ast
import difflib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.mutant_loop import UNTESTED

ROOT = Path(__file__).parent.parent
WORK = ROOT / ".mutants"
RESULTS = WORK / "results.jsonl"
LOOP = Path(__file__).with_name("mutant_loop.py")
REVIEWED = ROOT / "tests" / "gates" / "equivalent_mutants.txt"
_SETTINGS = """\
[tool.mutmut]
source_paths = ["gates/"]

[tool.pytest.ini_options]
addopts = "--strict-markers"
"""
_KILLED, _SURVIVED = (1, 3), 0
_AT_FIRST_S = 2.0
"""Tests of so many seconds a mutant meets at first; most are killed by then."""
_HARMLESS_S = 0.25
"""The same for those that change words only or were reviewed: no test has to kill a right decision."""
_CONTEXT = 40
_NUMBER = re.compile(r"__mutmut_(\d+|orig)$")


@dataclass(slots=True)
class Score:
    """The mutants of one file by what became of them."""

    file: str
    killed: int = 0
    timed_out: int = 0
    words: int = 0
    reviewed: int = 0
    survivors: list[str] = field(default_factory=list)
    not_run: int = 0
    left: list[str] = field(default_factory=list)
    """What mutmut calls those that survived, or have not been run."""

    @property
    def mutants(self) -> int:
        return self.killed + self.timed_out + self.words + self.reviewed + len(self.survivors)


def prepare() -> None:
    """A copy of gates/ and its tests, with all mutants written out; what is unchanged stays as it is."""
    made = WORK / "mutants"
    copies = {WORK / "pyproject.toml": _SETTINGS, made / "pyproject.toml": _SETTINGS}
    copies |= {made / "tests" / "__init__.py": "", made / "tests" / "conftest.py": LOOP.read_text()}
    for file in (ROOT / "gates").glob("*.py"):
        copies[WORK / "gates" / file.name] = ast.unparse(_WithoutDecorators().visit(ast.parse(file.read_text()))) + "\n"
    for file in (ROOT / "tests" / "gates").glob("*.*"):
        copies[made / "tests" / "gates" / file.name] = file.read_text()
    for old in {*(WORK / "gates").glob("*.py"), *(made / "tests").rglob("*.py")} - set(copies):
        old.unlink()
    for copy, text in copies.items():
        if not copy.exists() or copy.read_text() != text:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text)
    code = "from mutmut.__main__ import create_mutants; create_mutants(1)"
    subprocess.run([sys.executable, "-c", code], cwd=WORK, check=True, stdout=subprocess.DEVNULL)


def run(asked: dict[str, float | None], children: int, *tests: str) -> None:
    """Those mutants, each against so many seconds of `tests` (None: all that reach it). Raises SystemExit naming its log."""
    made, log = WORK / "mutants", WORK / "run.log"
    given = WORK / "asked.json"
    given.write_text(json.dumps(asked))
    environment = {
        **os.environ,
        "HYPOTHESIS_PROFILE": "mutants",
        "MUTANTS": str(given),
        "MUTANT_RESULTS": str(RESULTS),
        "MUTANT_CHILDREN": str(children),
        "MUTANT_UNDER_TEST": "",
    }
    command = [sys.executable, "-m", "pytest", *tests, "-q", "-s", "-p", "no:cacheprovider", "--assert=plain"]
    with log.open("w") as out:
        done = subprocess.run(command, cwd=made, env=environment, stdout=out, stderr=out, check=False)
    _keep()
    if done.returncode not in (0, 5):
        raise SystemExit(f"the run ended with {done.returncode}; see {log}")


def _keep() -> None:
    """What became of the mutants, beside what became of others before; also what a stopped run left."""
    codes: dict[str, dict[str, int]] = {}
    for line in RESULTS.read_text().splitlines() if RESULTS.exists() else ():
        name, code = json.loads(line)
        codes.setdefault(name.split(".")[1], {})[name] = code
    for stem, found in codes.items():
        meta = WORK / "mutants" / "gates" / f"{stem}.py.meta"
        kept = json.loads(meta.read_text())
        kept["exit_code_by_key"] |= found
        meta.write_text(json.dumps(kept, indent=4))
    RESULTS.unlink(missing_ok=True)


def run_all(files: list[str], children: int, *, resume: bool, own: bool) -> None:
    """Every mutant against its own file's tests and, unless `own`, some others, then all that reach it where it is left."""
    known = reviewed()
    first: dict[str, float | None] = {}
    for meta in _metas(files):
        changes = Changes(meta, known)
        again = (None, _SURVIVED, UNTESTED) if own else (None,)
        wanted = (name for name, code in _codes(meta).items() if code in again or not resume)
        first |= {name: _HARMLESS_S if changes.harmless(name) else _AT_FIRST_S for name in wanted}
    tests = sorted({str(test.relative_to(ROOT)) for file in files for test in ROOT.glob(f"tests/gates/test_{file}*.py")})
    if first:
        run(first, children, *(tests if own else ["tests/gates"]))
    if own:
        return
    left: dict[str, float | None] = {name: None for meta in _metas(files) for name in score(meta, known).left}
    sys.stdout.write(f"{len(left)} left after the quick tests\n")
    sys.stdout.flush()
    if left:
        run(left, children, "tests/gates")


class _WithoutDecorators(ast.NodeTransformer):
    """`@property def passed` as `def passed` and `passed = property(passed)`: the same, and mutmut changes it."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> list[ast.stmt]:
        wrappers, node.decorator_list = node.decorator_list, []
        value: ast.expr = ast.Name(node.name)
        for wrapper in reversed(wrappers):
            value = ast.Call(wrapper, [value], [])
        after = [ast.Assign([ast.Name(node.name)], value, lineno=node.lineno)] if wrappers else []
        return [node, *after]


class _WithoutWords(ast.NodeTransformer):
    """Sentences are one word, and so is what an exception says."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("words") if isinstance(node.value, str) and " " in node.value else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        said = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        return ast.Constant("words") if " " in said else node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc.args = []
        return self.generic_visit(node)


def _functions(source: str) -> dict[str, ast.FunctionDef]:
    found = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    return {node.name: node for node in found if "__mutmut_" in node.name}


def _lines(function: ast.FunctionDef) -> list[str]:
    head = ast.unparse(function.args)
    return [f"({head})", *ast.unparse(ast.Module(function.body, [])).splitlines()]


def _meaning(function: ast.FunctionDef) -> str:
    return ast.dump(_WithoutWords().visit(ast.parse(ast.unparse(ast.Module(function.body, []))))) + ast.dump(function.args)


def _written(stem: str, name: str, before: ast.FunctionDef, after: ast.FunctionDef) -> str:
    """The mutant as people read it, the same as long as its lines are: `window.covers: old => new`."""
    changed = list(difflib.unified_diff(_lines(before), _lines(after), lineterm="", n=0))[2:]
    sides = [" ".join(line[1:].strip() for line in changed if line[0] == sign) for sign in "-+"]
    function = _NUMBER.sub("", name).removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    old, new = _around_the_change(*sides)
    return f"{stem}.{function}: {old} => {new}"


def _around_the_change(old: str, new: str) -> tuple[str, str]:
    """Both, without the long beginnings and ends that they share."""
    first = _shared(old, new)
    start, end = max(0, first - _CONTEXT), max(0, _shared(old[first:][::-1], new[first:][::-1]) - _CONTEXT)
    return old[start : len(old) - end], new[start : len(new) - end]


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def reviewed() -> frozenset[str]:
    """The mutants that people found to decide the same, as `_written` gives them."""
    lines = REVIEWED.read_text().splitlines() if REVIEWED.exists() else []
    return frozenset(line for line in lines if line and not line.startswith("#"))


class Changes:
    """What the mutants of one file change."""

    def __init__(self, meta: Path, known: frozenset[str]) -> None:
        self.stem = meta.name.removesuffix(".py.meta")
        self.functions = _functions(meta.with_suffix("").read_text())
        self.known = known

    def sides(self, key: str) -> tuple[str, ast.FunctionDef, ast.FunctionDef]:
        """The mutant's own name, and the function before and after."""
        name = key.rsplit(".", 1)[-1]
        return name, self.functions[_NUMBER.sub("__mutmut_orig", name)], self.functions[name]

    def written(self, key: str) -> str:
        """For people, and for the list of those reviewed."""
        return _written(self.stem, *self.sides(key))

    def of_words(self, key: str) -> bool:
        """Nothing but sentences."""
        _, before, after = self.sides(key)
        return _meaning(before) == _meaning(after)

    def harmless(self, key: str) -> bool:
        """Decides the same, as far as is known."""
        return self.of_words(key) or self.written(key) in self.known


def score(meta: Path, known: frozenset[str]) -> Score:
    """What became of the mutants of one file."""
    changes = Changes(meta, known)
    found = Score(f"{changes.stem}.py")
    for key, code in _codes(meta).items():
        if code is None:
            found.not_run += 1
            found.left.append(key)
        elif code in _KILLED:
            found.killed += 1
        elif code not in (_SURVIVED, UNTESTED):
            found.timed_out += 1
        elif changes.of_words(key):
            found.words += 1
        elif (written := changes.written(key)) in known:
            found.reviewed += 1
        else:
            found.left.append(key)
            found.survivors.append(written + (" (no test reaches it)" if code == UNTESTED else ""))
    return found


def _with_functions() -> list[str]:
    return [file.stem for file in sorted((ROOT / "gates").glob("*.py")) if "def " in file.read_text()]


def _metas(files: list[str]) -> Iterator[Path]:
    for meta in sorted((WORK / "mutants" / "gates").glob("*.py.meta")):
        if meta.name.removesuffix(".py.meta") in files:
            yield meta


def _codes(meta: Path) -> dict[str, int | None]:
    found: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
    return found


def main() -> int:
    """Run, print, and say by the exit code whether all that survived is known."""
    options = argparse.ArgumentParser(description="mutation testing of gates/")
    options.add_argument("files", nargs="*", help="window, trigger, ...; all of gates/ when none is named")
    options.add_argument("--report", action="store_true", help="run nothing, show the last results")
    options.add_argument("--children", type=int, default=2, help="processes at a time")
    options.add_argument("--own", action="store_true", help="only the tests named after the files")
    options.add_argument("--resume", action="store_true", help="only what has no result yet, or survived")
    given = options.parse_args()
    files = [Path(name).stem for name in given.files] or _with_functions()
    os.nice(10)
    if not given.report:
        _keep()
        prepare()
        run_all(files, given.children, resume=given.resume, own=given.own)
    known = reviewed()
    scores = [score(meta, known) for meta in _metas(files)]
    ran = [one for one in scores if one.mutants]
    sys.stdout.write(f"{'':<26}mutants  killed  timed out  words only  reviewed  survived\n")
    for one in ran:
        sys.stdout.write(
            f"{one.file:<26}{one.mutants:>7}{one.killed:>8}{one.timed_out:>11}{one.words:>12}"
            f"{one.reviewed:>10}{len(one.survivors):>10}\n"
        )
    total, killed = sum(one.mutants for one in ran), sum(one.killed + one.timed_out for one in ran)
    sys.stdout.write(f"killed {killed} of {total}" + (f" ({killed / total:.1%})\n" if total else "\n"))
    survivors = [line for one in ran for line in one.survivors]
    sys.stdout.write("".join(f"{line}\n" for line in survivors))
    return 1 if survivors or not total else 0


if __name__ == "__main__":
    raise SystemExit(main())

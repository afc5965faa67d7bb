"""The score of the mutation tests of gates/, and the survivors that could change a verdict.

`make mutants` runs mutmut, which leaves its results in `mutants/`; `python -m benchmarks.mutants` reads them. A mutant that
differs in the text of a message only cannot change a verdict and is counted apart.
"""

import ast
import difflib
import json
import re
import sys
from pathlib import Path

RESULTS = Path("mutants")
_SURVIVED, _NOT_TESTED = 0, 33
_NUMBER = re.compile(r"__mutmut_\d+$")


class _WithoutText(ast.NodeTransformer):
    """All words are one word, so that two functions that differ in words only are equal."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("text") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Constant:
        return ast.Constant("text")


def _functions(source: str) -> dict[str, ast.FunctionDef]:
    found = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    return {node.name: node for node in found if "__mutmut_" in node.name}


def _lines(function: ast.FunctionDef) -> list[str]:
    return ast.unparse(ast.Module(function.body, [])).splitlines()


def _meaning(function: ast.FunctionDef) -> str:
    return ast.dump(_WithoutText().visit(ast.parse("\n".join(_lines(function)))))


def main() -> int:
    """Print a line a file, then the survivors; 1 when there are no results."""
    files = sorted(RESULTS.rglob("*.py.meta"))
    if not files:
        sys.stderr.write("no results in mutants/: run `make mutants`\n")
        return 1
    total = killed = only_text = 0
    shown: list[str] = []
    for meta in files:
        codes: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
        judged = {name: code for name, code in codes.items() if code is not None and code != _NOT_TESTED}
        survivors = [name.rsplit(".", 1)[-1] for name, code in judged.items() if code == _SURVIVED]
        functions = _functions(meta.with_suffix("").read_text())
        text = 0
        for name in survivors:
            before, after = functions[_NUMBER.sub("__mutmut_orig", name)], functions[name]
            if _meaning(before) == _meaning(after):
                text += 1
                continue
            changed = [line for line in difflib.ndiff(_lines(before), _lines(after)) if line[0] in "+-"]
            shown += [f"{meta.stem} {name}", *(f"    {line.strip()}" for line in changed)]
        total, killed, only_text = total + len(judged), killed + len(judged) - len(survivors), only_text + text
        if judged:
            sys.stdout.write(f"{meta.stem:<20}{len(judged) - len(survivors):>6} of {len(judged):>5}, text only {text}\n")
    share = killed / total if total else 0.0
    sys.stdout.write(f"killed {killed} of {total} ({share:.1%}); {only_text} survivors change words only\n")
    sys.stdout.write("".join(f"{line}\n" for line in shown))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

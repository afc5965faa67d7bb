"""`make bench`: everything that is measured, beside its floor or peer, as one table and as `bench.json`."""

import json
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import breach, gates, judges, ledger, steps, tick
from benchmarks.result import Result

REPORT = Path("bench.json")
SUITES = {
    "steps": steps.run,
    "breach": breach.run,
    "tick": tick.run,
    "ledger": ledger.run,
    "gates": gates.run,
    "judges": judges.run,
}


def main() -> int:
    """Run the suites named on the command line, or all."""
    wanted = sys.argv[1:] or list(SUITES)
    if unknown := sorted(set(wanted) - set(SUITES)):
        sys.stderr.write(f"no suite {', '.join(unknown)}; there are: {', '.join(SUITES)}\n")
        return 2
    results: list[Result] = []
    failed: dict[str, str] = {}
    for name in wanted:
        began = time.monotonic()
        try:
            results += SUITES[name]()
        except (Exception, SystemExit) as error:
            # What the other suites measured is not thrown away for it.
            failed[name] = f"{type(error).__name__}: {error}"
        sys.stderr.write(f"{name}: {failed.get(name, 'measured')} ({time.monotonic() - began:.0f} s)\n")
        REPORT.write_text(json.dumps([result.as_json() for result in results], indent=2) + "\n")
    show(results)
    return 1 if failed else 0


def show(results: list[Result]) -> None:
    """A row per measurement."""
    table = Table(title="ours beside the floor or a peer, medians")
    for title in ("what", "ours", "reference", "which is", "ratio"):
        table.add_column(title, justify="left" if title in ("what", "which is") else "right")
    for one in results:
        ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
        reference = "" if one.reference is None else f"{one.reference:.2f} {one.unit}"
        table.add_row(one.name, f"{one.ours:.2f} {one.unit}", reference, one.reference_is, ratio)
    Console(width=150).print(table)


if __name__ == "__main__":
    raise SystemExit(main())

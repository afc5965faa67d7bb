"""Searches the lines of files for a regular expression. What was found is told by its place only: it may be a secret."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from chrysalis.checks.result import Context, NotKnown, Verdict
from chrysalis.plan.checklist import FileSearch

LIMIT_S = 120.0
SHOWN_PLACES = 10
_GLOB = re.compile(r"\*\*/|/\*\*$|\*\*|\*|\?")
_MEANS = {"**/": r"(?:.*/)?", "/**": r"(?:/.*)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}


def check_file_search(spec: FileSearch, context: Context) -> Verdict:
    """Search every file that is included and not excluded.

    Raises NotKnown when there is no file to search, one cannot be read, or time runs out: what was not read shows nothing.
    """
    folder = context.path(spec.folder)
    if not folder.is_dir():
        raise NotKnown(f"the folder {folder} is not there")
    pattern = re.compile(spec.pattern)
    deadline = monotonic() + LIMIT_S
    files, places = 0, []
    for path in _files(folder, spec):
        files += 1
        places += [f"{path.relative_to(folder)}:{line}" for line in _matching(path, pattern, deadline)]
    if not files:
        raise NotKnown(f"no file below {folder} matches {', '.join(spec.include)}")
    found = f"{len(places)} places in {files} files"
    shown = "\n".join(places[:SHOWN_PLACES]) + (f"\nand {len(places) - SHOWN_PLACES} more" if places[SHOWN_PLACES:] else "")
    return Verdict(bool(places) == spec.found, found, "at least 1" if spec.found else "0 places", shown)


def glob_pattern(glob: str) -> re.Pattern[str]:
    """A glob over a path with `/`: `**` is any number of folders, `*` and `?` stay within one."""
    at, parts = 0, []
    for match in _GLOB.finditer(glob):
        parts += [re.escape(glob[at : match.start()]), _MEANS[match[0]]]
        at = match.end()
    return re.compile("".join(parts) + re.escape(glob[at:]) + r"\Z")


def _files(folder: Path, spec: FileSearch) -> Iterator[Path]:
    wanted = [glob_pattern(glob) for glob in spec.include]
    unwanted = [glob_pattern(glob) for glob in spec.exclude]

    def refuse(error: OSError) -> None:
        raise NotKnown(f"{error.filename}: cannot be listed ({error.strerror})")

    for at, folders, names in os.walk(folder, onerror=refuse):
        below = Path(at).relative_to(folder)
        folders[:] = sorted(one for one in folders if not _any(unwanted, f"{(below / one).as_posix()}/"))
        for name in sorted(names):
            told = (below / name).as_posix()
            if _any(wanted, told) and not _any(unwanted, told) and (Path(at) / name).is_file():
                yield Path(at) / name


def _any(patterns: list[re.Pattern[str]], path: str) -> bool:
    return any(pattern.match(path) for pattern in patterns)


def _matching(path: Path, pattern: re.Pattern[str], deadline: float) -> list[int]:
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            found = []
            for number, line in enumerate(lines, start=1):
                if monotonic() > deadline:
                    raise NotKnown(f"not all was searched within {LIMIT_S:g} s; narrow include or exclude")
                if pattern.search(line):
                    found.append(number)
            return found
    except OSError as error:
        raise NotKnown(f"{path}: cannot be read ({error.strerror})") from error

"""Searching files: the place is told, never the line."""

from pathlib import Path
from typing import Any

import pytest

from chrysalis.checks.files import glob_pattern
from tests.checks.conftest import FAILED, NOT_KNOWN, PASSED, Check, said


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, text in {
        "a.ts": "const a = 1\nconst key = 'sk-live-12345'\n",
        "sub/b.tsx": "console.log('x')\n",
        "node_modules/c.ts": "sk-in-a-library\n",
        "tests/d.test.ts": "sk-in-a-test\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def search(**changes: object) -> dict[str, Any]:
    given = {"kind": "file_search", "folder": "${FOLDER}", "include": ["**/*.ts"], "exclude": ["**/node_modules/**"]}
    return {**given, **changes}


def test_file_search_tells_the_place_and_never_the_line(check: Check, source: Path) -> None:
    result = check(search(pattern="sk-"))
    said(result, FAILED, "2 places in 2 files", "0 places", "a.ts:2", "tests/d.test.ts:1")
    assert "sk-live" not in str(result)
    said(check(search(pattern="sk-", exclude=["**/*.test.*", "**/node_modules/**", "a.ts"], include=["**/*"])), PASSED)
    said(check(search(pattern="sk-", found=True)), PASSED, "2 places", "at least 1")
    said(check(search(pattern="nowhere", found=True)), FAILED, "0 places in 2 files", "at least 1")


@pytest.mark.parametrize("changes", [{"folder": "${FOLDER}/none"}, {"include": ["**/*.go"]}], ids=["no folder", "no file"])
def test_a_search_over_nothing_is_not_known(check: Check, source: Path, changes: dict[str, object]) -> None:
    assert check(search(pattern="sk-", **changes)).status is NOT_KNOWN


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("**/*.ts", "a.ts", True),
        ("**/*.ts", "x/y/a.ts", True),
        ("**/*.ts", "a.tsx", False),
        ("*.ts", "x/a.ts", False),
        ("**/tests/**", "x/tests/y/z", True),
        ("**/tests/**", "tests/", True),
        ("**/tests/**", "mytests/a", False),
        ("scripts/**", "x/scripts/a", False),
        ("a?b.[x]", "aXb.[x]", True),
        ("a.ts", "abts", False),
    ],
)
def test_globs(glob: str, path: str, fits: bool) -> None:
    assert (glob_pattern(glob).match(path) is not None) == fits

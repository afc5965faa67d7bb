"""The browser of the UI's tests: found on PATH, or one line that says what to install."""

from pathlib import Path

import pytest

from chrysalis.errors import SettingsError
from chrysalis.local.browser import ensure_browser, find_browser


def programs(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_finds_both_programs_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are found under their Debian names."""
    monkeypatch.setenv("PATH", programs(tmp_path, "chromium", "chromedriver"))
    found = find_browser()
    assert found is not None
    assert (found.chromium, found.driver) == (tmp_path / "chromium", tmp_path / "chromedriver")


@pytest.mark.parametrize("only", ["chromium", "chromedriver"])
def test_half_a_pair_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only: str) -> None:
    """A browser without its driver, or the driver alone, is of no use."""
    monkeypatch.setenv("PATH", programs(tmp_path, only))
    assert find_browser() is None


def test_without_apt_get_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried where nothing can be installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="apt-get install chromium chromium-driver"):
        ensure_browser()

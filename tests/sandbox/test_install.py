"""Prometheus is found, else unpacked once, else one line says what to install."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chrysalis.errors import SettingsError
from chrysalis.sandbox.install import ensure_prometheus, find_prometheus

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb makes the package for the test")


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH with dpkg and the programs it needs, and no Prometheus."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("dpkg", "dpkg-deb", "tar"):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.delenv("CHRYSALIS_PROMETHEUS", raising=False)
    return tmp_path / ".chrysalis" / "prometheus"


def programs(folder: Path) -> Path:
    """A folder with two programs of the right names."""
    folder.mkdir(parents=True)
    for name in ("prometheus", "promtool"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def package(folder: Path, *, complete: bool = True) -> Path:
    """A .deb with the two programs, or with none."""
    root = folder / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m <m@x>\nDescription: d\n"
    )
    if complete:
        programs(root / "usr" / "bin")
    subprocess.run([shutil.which("dpkg-deb") or "", "-b", str(root), str(folder / "p.deb")], check=True, capture_output=True)
    return folder / "p.deb"


def test_an_installed_one_comes_first(nothing_installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is fetched then."""
    folder = programs(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(folder))
    assert ensure_prometheus(nothing_installed).promtool == folder / "promtool"
    assert not nothing_installed.exists()


def test_a_named_folder_comes_before_path(nothing_installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And must hold both."""
    monkeypatch.setenv("CHRYSALIS_PROMETHEUS", str(programs(tmp_path / "mine")))
    found = find_prometheus(nothing_installed)
    assert found is not None
    assert found.prometheus == tmp_path / "mine" / "prometheus"
    monkeypatch.setenv("CHRYSALIS_PROMETHEUS", str(tmp_path))
    with pytest.raises(SettingsError, match="CHRYSALIS_PROMETHEUS="):
        find_prometheus(nothing_installed)


@needs_dpkg
def test_a_package_is_unpacked_once(tmp_path_factory: pytest.TempPathFactory, nothing_installed: Path) -> None:
    """Also when several ask at once."""
    deb = _built_with_everything(tmp_path_factory.mktemp("deb"), complete=True)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ensure_prometheus(nothing_installed, package=deb), range(4)))
    assert {each.prometheus for each in found} == {nothing_installed / "usr" / "bin" / "prometheus"}
    deb.unlink()
    assert ensure_prometheus(nothing_installed) == found[0]


@needs_dpkg
def test_a_package_without_the_programs_leaves_nothing(
    tmp_path_factory: pytest.TempPathFactory, nothing_installed: Path
) -> None:
    """And says what to install."""
    deb = _built_with_everything(tmp_path_factory.mktemp("deb"), complete=False)
    with pytest.raises(SettingsError, match="does not hold usr/bin/prometheus"):
        ensure_prometheus(nothing_installed, package=deb)
    assert not nothing_installed.exists()


def _built_with_everything(folder: Path, *, complete: bool) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/usr/bin:/bin")
        return package(folder, complete=complete)


def test_without_apt_one_line_says_what_to_install(nothing_installed: Path) -> None:
    """No traceback, and an exit code that is not 0."""
    with pytest.raises(SettingsError, match=r"apt-get is not here .* install Prometheus 2\.42"):
        ensure_prometheus(nothing_installed)


def test_the_program_prints_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For a Makefile."""
    folder = programs(tmp_path / "mine")
    command = [sys.executable, "-m", "chrysalis.sandbox.install"]
    monkeypatch.setenv("CHRYSALIS_PROMETHEUS", str(folder))
    good = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout.strip()) == (0, str(folder))
    monkeypatch.setenv("CHRYSALIS_PROMETHEUS", str(tmp_path))
    bad = subprocess.run(command, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert bad.stderr.count("\n") == 1

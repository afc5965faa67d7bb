"""Settings, ports, shared files, state and configuration files."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from chrysalis.errors import SettingsError
from chrysalis.sandbox.files import JsonFile, write_json
from chrysalis.sandbox.install import ensure_prometheus
from chrysalis.sandbox.layout import Layout, Ports
from chrysalis.sandbox.ports import free_ports
from chrysalis.sandbox.prometheus_config import configuration
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.sandbox.state import process_started, read_state, sandbox_folder


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_rps": -1},
        {"header_share": 1.1},
        {"scrape_interval_s": 0},
        {"part_ms": 0},
        {"plan_speed": 0},
        {"restart_after_s": -1},
    ],
)
def test_a_setting_out_of_range_is_named(wrong: dict[str, float]) -> None:
    """With its value."""
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        SandboxSettings(**wrong)  # type: ignore[arg-type]


def test_settings_come_back_from_their_file(tmp_path: Path) -> None:
    """And a folder without them says so."""
    settings = SandboxSettings(rate_rps=7, service="other")
    settings.save(tmp_path)
    assert SandboxSettings.load_from(tmp_path) == settings
    with pytest.raises(SettingsError, match=r"settings\.json"):
        SandboxSettings.load_from(tmp_path / "nowhere")


def test_free_ports_are_different_and_free() -> None:
    """Each can be listened on."""
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


def test_a_port_that_was_given_and_is_not_listened_on_yet_is_given_to_nobody_else() -> None:
    """Not by another process either: Prefect's server needs a minute before it listens."""
    ours = free_ports(1)
    theirs = "from chrysalis.sandbox.ports import free_ports; print(*free_ports(3000))"
    said = subprocess.run([sys.executable, "-c", theirs], capture_output=True, text=True, check=True, timeout=60)
    assert not {*ours, *free_ports(3000)} & {int(port) for port in said.stdout.split()}


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """While it is replaced all the time."""
    path = tmp_path / "shared.json"
    write_json(path, {"n": [0] * 2000})

    def replace_often() -> None:
        for number in range(200):
            write_json(path, {"n": [number] * 2000})

    writer = Thread(target=replace_often)
    writer.start()
    file = JsonFile(path)
    while writer.is_alive():
        assert len(set(file.read()["n"])) == 1
    writer.join()
    assert list(tmp_path.iterdir()) == [path]


def test_a_shared_file_that_is_gone_is_an_empty_object(tmp_path: Path) -> None:
    """And is read again when it is back."""
    file = JsonFile(tmp_path / "shared.json")
    assert file.read() == {}
    write_json(file.path, {"a": 1})
    assert file.read() == {"a": 1}
    file.path.unlink()
    assert file.read() == {}


@pytest.mark.parametrize(("content", "said"), [("{", "not readable"), (json.dumps({"format": 99}), "format 99")])
def test_a_state_that_is_not_ours_is_one_line(tmp_path: Path, content: str, said: str) -> None:
    """With what to do."""
    Layout(tmp_path).state.write_text(content)
    with pytest.raises(SettingsError, match=said):
        read_state(tmp_path)


def test_a_pid_used_again_is_not_taken_for_the_old_process() -> None:
    """Its start differs; an ended process has none."""
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert process_started(child.pid) not in (None, process_started(os.getpid()))
    child.communicate()
    assert process_started(child.pid) is None


def test_the_folder_is_given_or_named_or_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In this order."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHRYSALIS_SANDBOX", raising=False)
    assert sandbox_folder() == tmp_path / ".chrysalis" / "sandbox"
    monkeypatch.setenv("CHRYSALIS_SANDBOX", str(tmp_path / "named"))
    assert sandbox_folder() == tmp_path / "named"
    assert sandbox_folder(tmp_path / "given") == tmp_path / "given"


def test_the_sockets_path_fits_whatever_the_folder(tmp_path: Path) -> None:
    """The kernel allows 107 characters."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    assert len(str(Layout(deep).postgres_socket / ".s.PGSQL.5432")) < 107


def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    """The real one."""
    path = tmp_path / "prometheus.yml"
    path.write_text(json.dumps(configuration(Ports(1, 2, 3, 4, 5), SandboxSettings(scrape_interval_s=0.25))))
    done = subprocess.run(
        [ensure_prometheus().promtool, "check", "config", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

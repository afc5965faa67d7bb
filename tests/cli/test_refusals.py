"""What cannot be started or found: one line that says what, where and what to do, exit code 1, nothing changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chrysalis.cli import main
from chrysalis.ledger import Ledger
from tasks.workspace import settings
from tests.stack import PLANS

GOOD = (PLANS / "quick" / "plan.yaml").read_text()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home and a plans folder of its own; no Prefect anywhere."""
    (tmp_path / "plans").mkdir()
    monkeypatch.setenv("CHRYSALIS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHRYSALIS_PLANS", str(tmp_path / "plans"))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def plan(home: Path, text: str | bytes, name: str = "quick") -> None:
    folder = home / "plans" / name
    folder.mkdir()
    (folder / "plan.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())


def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """The error of a command that was refused; nothing of a traceback."""
    monkeypatch.setattr("sys.argv", ["chrysalis", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (1, "")
    assert said.err.startswith("chrysalis: ")
    return said.err.strip()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(b"\xff\xfe\x00", "not UTF-8 text", id="unreadable"),
        pytest.param("phases: [", "not YAML", id="no YAML"),
        pytest.param("[]", "expected a mapping", id="no plan"),
        pytest.param(GOOD.replace("set_weight: 60%", "set_weight: 160%"), "less than or equal to 100", id="weight over 100"),
        pytest.param(GOOD.replace("above: 5%", "above: 700ms"), "ms", id="wrong unit"),
        pytest.param(GOOD.replace("metric: error_rate, a", "metric: eror_rate, a"), "eror_rate", id="unknown metric"),
        pytest.param(GOOD.replace("rule: both", "rule: nobody"), "nobody", id="unknown rule"),
    ],
)  # fmt: skip
def test_a_plan_that_is_wrong_names_the_place(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str | bytes, says: str
) -> None:
    plan(home, text)
    error = refused(capsys, monkeypatch, "start", "quick", "--version", "1")
    assert says in error
    assert "plan.yaml" in error
    assert not (home / "home" / "ledger.db").exists()


@pytest.mark.parametrize("name", ["no_such", "../quick", "/etc/passwd", "", "Quick"])
def test_an_unknown_plan_names_those_there_are(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    plan(home, GOOD)
    assert "the plans there are: quick" in refused(capsys, monkeypatch, "start", name, "--version", "1")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param(("--version", " "), "version: found nothing", id="no version"),
        pytest.param(("--version", "1", "--speed", "0.5"), "speed: found 0.5", id="slower than the clock"),
        pytest.param(("--version", "1", "--speed", "nan"), "speed: found nan", id="no speed"),
    ],
)
def test_a_parameter_that_is_wrong_says_what_is_expected(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], says: str
) -> None:
    plan(home, GOOD)
    assert says in refused(capsys, monkeypatch, "start", "quick", *more)


def test_without_prefect_nothing_is_begun_that_nobody_would_carry_on(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(home, GOOD)
    error = refused(capsys, monkeypatch, "start", "quick", "--version", "1")
    assert "is `prefect server start` running?" in error
    (home / "home").mkdir(exist_ok=True)
    with Ledger.open(f"sqlite:///{home / 'home' / 'ledger.db'}") as ledger:
        assert ledger.history() == ()


@pytest.mark.parametrize(
    "command",
    [
        ("show",),
        ("approve",),
        ("reject",),
        ("rollback",),
        ("abort",),
        ("pause",),
        ("resume",),
        ("operate", "x"),
        ("measure", "x", "1"),
        ("trigger", "x"),
    ],
    ids=lambda command: command[0],
)
def test_an_unknown_rollout_is_said_by_every_command(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    name, *more = command
    error = refused(capsys, monkeypatch, name, "crystal-99", *more)
    assert error == "chrysalis: the ledger has no rollout 'crystal-99'; `chrysalis history` lists those it has"


@pytest.mark.parametrize("arguments", [(), ("rollback", "x", "--to", "150"), ("history", "--limit", "0"), ("frobnicate",)])
def test_wrong_use_is_2(home: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.setattr("sys.argv", ["chrysalis", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2

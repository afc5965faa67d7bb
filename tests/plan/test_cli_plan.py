"""`chrysalis plan`: what it prints and where, and its exit codes."""

import json
from pathlib import Path

from typer.testing import CliRunner

from chrysalis.cli_plan import app
from tests.plan.samples import SOUND, add_migrations, changed

runner = CliRunner()


def write(folder: Path, name: str, text: str = SOUND) -> str:
    """A plan's file."""
    path = folder / name
    path.write_text(text)
    add_migrations(folder)
    return str(path)


def test_sound_plans_are_counted(tmp_path: Path) -> None:
    """A line for each on standard output, exit code 0."""
    file = write(tmp_path, "a.yaml")
    result = runner.invoke(app, ["check", file])
    assert (result.exit_code, result.stdout) == (0, f"{file}: sound: 2 phases, 15 steps, 5 triggers\n")


def test_all_problems_of_all_files_at_once(tmp_path: Path) -> None:
    """The sound ones are still told; problems go to standard error, and a missing file is one of them."""
    good, bad = write(tmp_path, "a.yaml"), write(tmp_path, "b.yaml", changed("{source: health,", "{source: helth,"))
    worse = write(tmp_path, "c.yaml", changed("set_weight: 100%", "set_weight: 130%"))
    result = runner.invoke(app, ["check", good, bad, worse, str(tmp_path / "no.yaml")])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [f"{good}: sound: 2 phases, 15 steps, 5 triggers"]
    first, second, third = result.stderr.splitlines()
    assert first.startswith(f"{bad}:18:11: metrics.users.source: found 'helth'")
    assert second.startswith(f"{worse}:86:9: phases[1].steps[1].set_weight: found '130%'")
    assert "no.yaml:1:1: cannot be read as a plan: No such file or directory" in third


def test_live_without_the_variables_says_which_is_missing(tmp_path: Path) -> None:
    """One line, no traceback; nothing was asked."""
    file = write(tmp_path, "a.yaml", SOUND.replace("${PROMETHEUS_URL}", "${NOT_SET_ANYWHERE}"))
    result = runner.invoke(app, ["check", "--live", file])
    assert result.exit_code == 1
    assert "${NOT_SET_ANYWHERE} is not set" in result.stderr


def test_show_is_a_timeline(tmp_path: Path) -> None:
    """Phases and weights in the order of time."""
    result = runner.invoke(app, ["show", write(tmp_path, "a.yaml")])
    assert result.exit_code == 0
    assert result.stdout.index("set weight to 30 %") < result.stdout.index("set weight to 100 %")


def test_schema_is_json_schema() -> None:
    """An editor can read it."""
    schema = json.loads(runner.invoke(app, ["schema"]).stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(schema["required"]) == {"chrysalis", "name", "service", "phases"}


def test_rules_are_prometheus_rules(tmp_path: Path) -> None:
    """The triggers of a plan, by name."""
    result = runner.invoke(app, ["rules", write(tmp_path, "a.yaml")])
    assert result.exit_code == 0
    assert "alert: ShopErrors" in result.stdout


def test_without_a_file_it_is_wrong_use() -> None:
    """Exit code 2, as every command line does."""
    assert runner.invoke(app, ["check"]).exit_code == 2

"""Where things are, and that a setting which cannot be used is named with what was expected."""

from pathlib import Path

import pytest

from chrysalis.errors import SettingsError
from chrysalis.settings import CHECKOUT, Settings, fill_in


def test_with_nothing_set_all_is_in_the_checkout() -> None:
    settings = Settings.load({})
    assert settings.home == CHECKOUT / ".chrysalis"
    assert settings.ledger_url == f"sqlite:///{CHECKOUT / '.chrysalis' / 'ledger.db'}"
    assert settings.plans == CHECKOUT / "deployments"
    assert (settings.watch_interval_s, settings.suspend_after_s) == (1.0, 20.0)


def test_the_ledger_lies_in_the_home_that_was_given() -> None:
    assert Settings.load({"CHRYSALIS_HOME": "/var/lib/chrysalis"}).ledger_url == "sqlite:////var/lib/chrysalis/ledger.db"


@pytest.mark.parametrize("text", ["soon", "5", "-1s", "0s"])
@pytest.mark.parametrize("name", ["CHRYSALIS_WATCH_INTERVAL", "CHRYSALIS_SUSPEND_AFTER"])
def test_an_interval_that_is_none_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.load({name: text})


@pytest.mark.parametrize("name", ["no_such", "../quick", "/etc", "", "Quick", "a b"])
def test_a_plan_runs_only_from_the_plans_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "plans" / "quick").mkdir(parents=True)
    (tmp_path / "plans" / "quick" / "plan.yaml").touch()
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / "plan.yaml").touch()
    settings = Settings.load({"CHRYSALIS_PLANS": str(tmp_path / "plans")})
    assert settings.plan_file("quick").is_file()
    with pytest.raises(SettingsError, match="the plans there are: quick"):
        settings.plan_file(name)


def test_the_environment_wins_over_what_make_up_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "environment.json").write_text('{"PROMETHEUS_URL": "http://sandbox", "SERVICE_URL": "http://service"}')
    monkeypatch.setenv("PROMETHEUS_URL", "http://production")
    variables = Settings.load({"CHRYSALIS_HOME": str(tmp_path)}).variables()
    assert (variables["PROMETHEUS_URL"], variables["SERVICE_URL"]) == ("http://production", "http://service")


def test_variables_that_cannot_be_read_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text("{")
    with pytest.raises(SettingsError, match=r"environment\.json: cannot be read"):
        Settings.load({"CHRYSALIS_HOME": str(tmp_path)}).variables()


def test_every_variable_is_filled_in() -> None:
    assert fill_in("${A}/x/${B}", {"A": "1", "B": "2"}, where="here") == "1/x/2"


def test_a_variable_that_is_not_set_is_named_with_its_place() -> None:
    with pytest.raises(SettingsError, match=r"crystal: target traffic: \$\{ENVOY\} is not set"):
        fill_in("${ENVOY}", {}, where="crystal: target traffic")

"""The configuration API's rules, and a stamp that outdates another."""

from pathlib import Path
from typing import Any

import pytest

from chrysalis.sandbox.service.configuration import INITIAL, Configuration, ConfigurationError, StaleWrite


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return Configuration(tmp_path / "config.json")


def test_it_starts_in_legacy_mode(configuration: Configuration) -> None:
    """With no weight."""
    assert configuration.read() == INITIAL
    assert (INITIAL["mode"], INITIAL["crystalWeight"]) == ("legacy", 0.0)


def test_a_change_keeps_what_it_does_not_name(configuration: Configuration) -> None:
    """Deep inside as well."""
    after = configuration.change({"mode": "hybrid", "features": {"emergence": False, "brandNew": True}})
    assert after["features"] == {**INITIAL["features"], "emergence": False, "brandNew": True}
    assert after["aetherWeight"] == INITIAL["aetherWeight"]
    assert configuration.read() == after


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": "chaos"}, "mode is 'chaos'"),
        ({"crystalWeight": 1.01}, "crystalWeight is 1.01"),
        ({"crystalWeight": -0.1}, "crystalWeight is -0.1"),
        ({"crystalWeight": True}, "crystalWeight is True"),
        ({"aetherWeight": "0.3"}, "aetherWeight is '0.3'"),
        ({"legacyFallback": 1}, "legacyFallback is 1"),
        ({"userSegmentation": {"percentage": 101}}, "percentage is 101"),
        ({"userSegmentation": {"canary": 5}}, "canary is 5"),
        ({"features": True}, "features is True, must be an object"),
        ({"features": {"emergence": "yes"}}, "features.emergence is 'yes'"),
        ({"wieght": 1}, "unknown setting 'wieght'"),
    ],
)
def test_a_wrong_value_changes_nothing(configuration: Configuration, changes: dict[str, Any], said: str) -> None:
    """Not even the right ones beside it."""
    with pytest.raises(ConfigurationError, match=said):
        configuration.change({"readOnly": True, **changes})
    assert configuration.read() == INITIAL


def test_an_older_stamp_is_refused(configuration: Configuration) -> None:
    """A hand without a stamp may always write."""
    configuration.change({"mode": "hybrid"}, stamp="crystal-1:7:hybrid.01")
    with pytest.raises(StaleWrite, match="token 6 is older than 7"):
        configuration.change({"mode": "crystal"}, stamp="crystal-1:6:hybrid.01")
    assert configuration.change({"mode": "legacy"})["mode"] == "legacy"


def test_a_switch_that_the_deployment_brought_can_be_taken_away_again(configuration: Configuration) -> None:
    """By null, as a JSON merge patch has it: the way back puts back that there was none."""
    configuration.change({"features": {"brandNew": True}})
    assert configuration.change({"features": {"brandNew": None}})["features"] == INITIAL["features"]
    with pytest.raises(ConfigurationError, match="mode is None"):
        configuration.change({"mode": None})

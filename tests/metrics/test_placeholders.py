"""Placeholders are filled, and everything else in braces is left as it is."""

import pytest

from chrysalis.errors import QueryError, SettingsError
from chrysalis.metrics.placeholders import fill, shown_url


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        pytest.param('up{side="{side}"}[{window}]', 'up{side="CANARY"}[5S]', id="inside a selector"),
        pytest.param('up{job="api"}', 'up{job="api"}', id="a selector alone"),
        pytest.param("{sides} {Side} {}", "{sides} {Side} {}", id="other words"),
    ],
)
def test_exact_names_are_filled_and_escaped(text: str, filled: str) -> None:
    assert fill(text, {"side": "canary", "window": "5s"}, escape=str.upper) == filled


def test_one_without_a_value_is_an_error_that_lists_what_there_is() -> None:
    with pytest.raises(QueryError, match=r"\{version\} has no value here; those with one: service, side"):
        fill("{version}", {"side": "canary", "service": "maia"}, escape=str)


def test_an_address_is_shown_without_its_password() -> None:
    assert shown_url("http://me:hunter2@127.0.0.1:9090/prom") == "http://127.0.0.1:9090/prom"


def test_what_is_no_address_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError, match="expected http://host:port") as refused:
        shown_url("http://me:hunter2@127.0.0.1:x")
    assert "hunter2" not in str(refused.value)

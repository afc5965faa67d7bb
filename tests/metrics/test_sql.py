"""SqlSource against a real PostgreSQL."""

from collections.abc import Iterator

import numpy as np
import psycopg
import pytest

from chrysalis.errors import SettingsError
from chrysalis.metrics.sql import SqlSource
from tests.metrics.queries import query, reason, series


@pytest.fixture
def source(postgres_url: str) -> Iterator[SqlSource]:
    opened = SqlSource(postgres_url, timeout_s=2)
    yield opened
    opened.close()


def test_rows_are_samples_and_null_is_one_without_a_value(source: SqlSource) -> None:
    found = series(source.fetch([query("SELECT at, ratio FROM health WHERE side = :side", side="canary")])[0])
    assert found.times_s.tolist() == [100, 110, 120]
    np.testing.assert_array_equal(found.values, [0.5, np.nan, 0.7])


def test_one_value_is_as_of_the_end(source: SqlSource) -> None:
    found = series(source.fetch([query("SELECT avg(ratio) FROM health WHERE side = :side", end_s=130, side="stable")])[0])
    assert (found.times_s.tolist(), found.values.tolist()) == ([130], [0.1])


def test_no_row_is_no_data(source: SqlSource) -> None:
    assert len(series(source.fetch([query("SELECT at, ratio FROM health WHERE side = 'nobody'")])[0])) == 0


def test_the_window_is_bound(source: SqlSource) -> None:
    inside = "at > :start AND at <= :end AND side = 'canary'"
    text = f"SELECT at, extract(epoch FROM :end - :start) + :window_s FROM health WHERE {inside}"
    found = series(source.fetch([query(text, end_s=120, span_s=15)])[0])
    assert (found.times_s.tolist(), found.values.tolist()) == ([110, 120], [30, 30])


@pytest.mark.parametrize(
    "window", ["interval '{window}'", "INTERVAL '{window}'", "'{window}'", "{window}", "CAST(:window AS interval)"]
)
def test_the_rate_window_is_an_interval_however_it_is_written(source: SqlSource, window: str) -> None:
    found = series(source.fetch([query(f"SELECT extract(epoch FROM {window})", window="1500ms")])[0])
    assert found.values.tolist() == [1.5]


@pytest.mark.parametrize("placeholder", ["'{side}'", "{side}", ":side"])
def test_a_value_is_bound_and_never_text(source: SqlSource, placeholder: str) -> None:
    text = f"SELECT count(*) FROM health WHERE side = {placeholder}"
    assert series(source.fetch([query(text, side="x' OR 'a' = 'a")])[0]).values.tolist() == [0]


def test_words_are_labels_where_the_unit_is_category(source: SqlSource) -> None:
    text = "SELECT at, weather FROM health WHERE side = 'canary'"
    found = series(source.fetch([query(text, unit="category")])[0])
    assert (found.times_s.tolist(), found.labels) == ([100, 120], ("flowing", "still"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("SELECT ratio FRM health", "SQL error: syntax error", id="syntax"),
        pytest.param("SELECT 1/0", "SQL error: division by zero", id="at run time"),
        pytest.param("SELECT pg_sleep(9)", "SQL error: canceling statement due to statement timeout", id="too slow"),
        pytest.param("DELETE FROM health", "cannot execute DELETE in a read-only transaction", id="a write"),
        pytest.param("SELECT 'flowing'", "found 'flowing', expected a number", id="a word"),
        pytest.param("SELECT ratio FROM health", "4 rows of 1 columns", id="one column"),
        pytest.param("SELECT 1, 2, 3", "1 rows of 3 columns", id="three columns"),
        pytest.param("SELECT at::timestamp, ratio FROM health", "a time without time zone", id="naive time"),
        pytest.param("SELECT 'noon', 1", "found 'noon' as time", id="a word as time"),
        pytest.param("SELECT :side", "{side} has no value here", id="not sided"),
        pytest.param("SET LOCAL work_mem = '1MB'", "returns no rows", id="no SELECT"),
    ],
)
def test_a_wrong_query_says_why_and_leaves_the_others_alone(source: SqlSource, text: str, expected: str) -> None:
    quick = SqlSource(str(source._url.render_as_string(hide_password=False)), timeout_s=0.3)
    wrong, right = quick.fetch([query(text), query("SELECT 3")])
    assert expected in reason(wrong)
    assert series(right).values.tolist() == [3]
    quick.close()


def test_all_queries_see_the_same_snapshot(source: SqlSource) -> None:
    first, second = source.fetch([query("SELECT extract(epoch FROM now())"), query("SELECT extract(epoch FROM now())")])
    assert series(first).values.tolist() == series(second).values.tolist()


def test_connections_that_the_server_ended_are_opened_again(source: SqlSource, postgres_url: str) -> None:
    source.fetch([query("SELECT 1")])
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'postgres'"
        )
    assert series(source.fetch([query("SELECT 1")])[0]).values.tolist() == [1]


def test_a_connection_lost_on_the_way_is_unavailable_for_the_rest(source: SqlSource) -> None:
    answers = source.fetch(
        [query("SELECT 1"), query("SELECT 1 FROM pg_terminate_backend(pg_backend_pid())"), query("SELECT 2")]
    )
    assert series(answers[0]).values.tolist() == [1]
    assert all("cannot be reached" in reason(answer) for answer in answers[1:])


def test_out_of_reach_is_unavailable_and_shows_no_password(closed_port: int) -> None:
    said = reason(
        SqlSource(f"postgresql://me:hunter2@127.0.0.1:{closed_port}/maia", timeout_s=1).fetch([query("SELECT 1")])[0]
    )
    assert "sql at 127.0.0.1/maia: cannot be reached" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("url", ["sqlite:///x.db", "no url: hunter2"])
def test_a_url_of_something_else_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError, match="expected postgresql://") as refused:
        SqlSource(url)
    assert "hunter2" not in str(refused.value)

"""What is known for a secret is taken out of every text; what is not stays readable."""

import logging
from collections.abc import Iterator

import pytest

from chrysalis import secrets
from chrysalis.errors import StepFailed
from chrysalis.settings import fill_in


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a new process."""
    before = logging.getLogRecordFactory()
    monkeypatch.setattr(secrets, "_known", {})
    monkeypatch.setattr(secrets, "_pattern", None)
    for kept in (secrets.learn_value, secrets.learn_address):
        kept.cache_clear()
    yield
    logging.setLogRecordFactory(before)
    for kept in (secrets.learn_value, secrets.learn_address):
        kept.cache_clear()


@pytest.mark.parametrize(
    ("name", "value", "text", "shown"),
    [
        pytest.param("API_TOKEN", "abc-123-xyz", "got abc-123-xyz.", "got [API_TOKEN].", id="a name that says so"),
        pytest.param("MODE", "production", "in production", "in production", id="a name that does not"),
        pytest.param("API_TOKEN", "on", "it is on", "it is on", id="too short"),
        pytest.param("DB_URL", "postgresql://u:hunter22@h/d", "u:hunter22@h", "u:[DB_URL]@h", id="a password of a URL"),
        pytest.param("DB_URL", "postgresql://u:hunt%40er22@h/d", "hunt@er22 hunt%40er22", "[DB_URL] [DB_URL]", id="escaped"),
        pytest.param("URL", "http://u:hunter22@h", "Basic dTpodW50ZXIyMg==", "Basic [URL]", id="as a header"),
        pytest.param("URL", "http://h/x?token=abc123xyz&page=second", "abc123xyz second", "[URL] second", id="in a query"),
        pytest.param("MODE", "lite", "at amqp://u:hunter22@h/v", "at amqp://u:[hidden]@h/v", id="a password nobody told"),
        pytest.param("SENTRY_DSN", "https://k3yk3yk3y@h/7", "https://k3yk3yk3y@h/7", "[SENTRY_DSN]", id="a DSN"),
        pytest.param("SERVICE_URL", "http://h:8000/api", "http://h:8000/api", "http://h:8000/api", id="a plain URL"),
    ],
)
def test_a_variable(name: str, value: str, text: str, shown: str) -> None:
    secrets.learn(name, value)
    assert secrets.redact(text) == shown


@pytest.mark.parametrize(
    ("address", "text", "shown"),
    [
        pytest.param("https://hooks.x.com/services/T0/B0/aB3dEf", "POST /services/T0/B0/aB3dEf", "POST [c]", id="a path"),
        pytest.param(
            "https://hooks.x.com/services/T0/B0/aB3dEf", "services at hooks.x.com", "services at hooks.x.com", id="words"
        ),
        pytest.param(
            "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdn/#ops", "T1JJ3T3L2 A1BRTD4JD TIiajkdn #ops", "[c] [c] [c] #ops", id="keys"
        ),
        pytest.param("pagerduty://k3yk3yk3y@r0ut1ng", "k3yk3yk3y r0ut1ng", "[c] [c]", id="no host but a key"),
        pytest.param(
            "mailto://me:pa55word@mail.org?to=a@b.org", "pa55word a@b.org mail.org", "[c] a@b.org mail.org", id="mail"
        ),
        pytest.param("json://127.0.0.1:80/?+X-Key=k3yk3yk3y", "k3yk3yk3y 127.0.0.1", "[c] 127.0.0.1", id="a header"),
        pytest.param("http://[", "at http://[", "at [c]", id="no URL"),
    ],
)
def test_an_address(address: str, text: str, shown: str) -> None:
    secrets.learn_address("c", address)
    assert secrets.redact(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"apiToken": "s3cr3ts3cr3t", "mode": "on"}', '{"apiToken": "[hidden]", "mode": "on"}'),
        ("Authorization: Bearer s3cr3ts3cr3t", "Authorization: Bearer [hidden]"),
        ("password=s3cr3ts3cr3t&x=1", "password=[hidden]&x=1"),
        ("token 12 is stale, flow-1 holds 13", "token 12 is stale, flow-1 holds 13"),
        ("password authentication failed for user", "password authentication failed for user"),
    ],
)
def test_what_is_announced_is_hidden_unknown_as_it_is(text: str, shown: str) -> None:
    assert secrets.redact(text) == shown


def test_the_longest_secret_is_taken_out_where_one_is_part_of_another() -> None:
    secrets.learn("A_TOKEN", "secret")
    secrets.learn("B_TOKEN", "secret-and-more")
    assert secrets.redact("secret-and-more secret") == "[B_TOKEN] [A_TOKEN]"


def test_json_is_redacted_to_its_depth() -> None:
    secrets.learn("A_TOKEN", "abcdef")
    value = {"abcdef": ["x abcdef", 1, None, {"y": ("abcdef",)}]}
    assert secrets.redacted(value) == {"[A_TOKEN]": ["x [A_TOKEN]", 1, None, {"y": ["[A_TOKEN]"]}]}


def test_an_error_never_says_one_nor_does_its_cause() -> None:
    secrets.learn("A_TOKEN", "abcdef")
    assert str(StepFailed("with abcdef")) == "with [A_TOKEN]"
    error, cause = KeyError("abcdef"), ValueError("cause abcdef")
    error.__cause__ = cause
    secrets.cleanse(error)
    assert (error.args, cause.args) == (("[A_TOKEN]",), ("cause [A_TOKEN]",))


def test_a_log_record_of_any_logger_never_says_one_nor_does_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    secrets.learn("A_TOKEN", "abcdef")
    logger = logging.getLogger("some.library")
    logger.warning("POST /%s", "abcdef")
    try:
        raise ValueError("with abcdef")
    except ValueError:
        logger.exception("failed")
    assert "POST /[A_TOKEN]" in caplog.text
    assert "ValueError: with [A_TOKEN]" in caplog.text
    assert "abcdef" not in caplog.text


def test_what_is_filled_into_a_header_is_a_secret_whatever_its_name() -> None:
    assert fill_in("Bearer ${WHO}", {"WHO": "s3same"}, where="x") == "Bearer s3same"
    assert secrets.redact("s3same") == "s3same"
    fill_in("Bearer ${WHO}", {"WHO": "s3same"}, where="x", secret=True)
    assert secrets.redact("s3same") == "[WHO]"

"""What must never be shown: the secrets this process knows, and the one place that takes them out of a text.

A secret is learned where it comes in: a variable whose name says so (`…_TOKEN`, `…_PASSWORD`), the password of any URL, what
looks like a key in the address of a notice, a value that goes into a request's header. From then on `redact`
replaces it by its name in brackets, and every log record of this process, whoever writes it, is redacted before a handler
sees it: libraries log the addresses they call. Errors (chrysalis/errors.py), notices and what steps journal pass here too.

A value of fewer than `FEWEST_CHARACTERS` is not taken for a secret: to replace it would garble every text.
"""

import logging
import re
import threading
import traceback
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

FEWEST_CHARACTERS = 6
_SECRET_NAME = re.compile(
    r"PASS(WORD|WD|PHRASE)?(_|$)|SECRET|TOKEN|CREDENTIAL|COOKIE|AUTHORIZATION|API_?KEY|_KEY$|(^|_)DSN$|WEBHOOK",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"""((?-i:(?!PASS:\s))(?:pass(?:word|wd)?|secret|token|api[_-]?key|authorization|cookie)["']?\s*[=:]\s*["']?(?:(?:bearer|basic)\s+)?)"""
    r"""([^\s"',;&})\]]{8,})""",
    re.IGNORECASE,
)
"""A secret that is not known, but announced as servers do in their answers: `"apiToken": "…"`, `Authorization: Bearer …`."""
_USERINFO = re.compile(r"(?<=://)([^\s:/@]*):(?!\[|\*{3}@)[^\s/@]+@")
_WORD = re.compile(r"[^/?#&=:@,;\s]+")

_known: dict[str, str] = {}
_pattern: re.Pattern[str] | None = None
_lock = threading.Lock()


def learn(name: str, value: str) -> None:
    """Learn what is secret in the variable `name`: all of it where the name says so, else the password of a URL."""
    if _SECRET_NAME.search(name):
        learn_value(name, value)
        if "://" in value:
            learn_address(name, value)
    elif "://" in value:
        _learn_url(name, value)


@cache
def learn_value(name: str, value: str) -> None:
    """Take all of `value` for a secret; it is shown as `[name]` from now on."""
    stripped = value.strip()
    for form in {stripped, quote(stripped, safe=""), quote_plus(stripped), unquote(stripped)}:
        _keep(name, form)


@cache
def learn_address(name: str, address: str) -> None:
    """Learn what may be secret in a notice's address: user and password, the path, and every word that looks like a key."""
    _learn_url(name, address)
    try:
        parts = urlsplit(address)
        user, query = parts.username or "", parse_qsl(parts.query)
    except ValueError:
        return
    _keep(name, parts.path)
    words = [user, *_WORD.findall(parts.path), *_WORD.findall(parts.fragment)]
    words += [value for key, value in query if key.lower() not in _SHOWN_OPTIONS]
    if "." not in parts.netloc.rpartition("@")[2] and parts.hostname != "localhost":
        words.append(parts.netloc.rpartition("@")[2])  # `slack://KEY/…`, `pagerduty://KEY@…`: no host, but a key
    for word in words:
        if word == user or _looks_like_a_key(word):
            learn_value(name, word)


def redact(text: str) -> str:
    """`text` with every known secret replaced by `[its name]`, and every announced one, as in an address, by `[hidden]`."""
    if _pattern is not None:
        text = _pattern.sub(lambda found: f"[{_known[found[0]]}]", text)
    text = _USERINFO.sub(r"\1:[hidden]@", text)
    return _SAID.sub(lambda found: found[0] if found[2].startswith("[") else f"{found[1]}[hidden]", text)


def redacted(value: Any) -> Any:
    """JSON-ready `value` with every text in it redacted, also the keys of its mappings."""
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {redacted(key): redacted(item) for key, item in value.items()}
        case list() | tuple():
            return [redacted(item) for item in value]
    return value


def cleanse(error: BaseException) -> None:
    """Redact what an error, its causes and its contexts say, in place: a server shows an exception's text to everybody."""
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        one = rest.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.args = tuple(redacted(argument) if isinstance(argument, str) else argument for argument in one.args)
        rest += [one.__cause__, one.__context__]


_SHOWN_OPTIONS = frozenset({"smtp", "from", "to", "cc", "bcc", "name", "reply", "mode", "format", "overflow", "region"})


def _looks_like_a_key(word: str) -> bool:
    """Whether a word is hardly one that people write: with digits, in mixed case, or very long."""
    mixed = word.lower() != word and word.upper() != word
    return len(word) >= FEWEST_CHARACTERS and (mixed or len(word) >= 20 or any(one.isdigit() for one in word))


def _is_ip(word: str) -> bool:
    """An address of the network is in many texts, and no secret."""
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


def _learn_url(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        user, password, query = parts.username or "", parts.password, parse_qsl(parts.query)
    except ValueError:
        learn_value(name, url)
        return
    if password:
        learn_value(name, password)
        learn_value(name, unquote(password))
        learn_value(name, b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode())  # as a request carries it
    for key, value in query:
        if _SECRET_NAME.search(key) or key in ("pass", "key"):
            learn_value(name, value)


def _keep(name: str, value: str) -> None:
    global _pattern  # noqa: PLW0603 - compiled once per secret, read at every line that is written
    if len(value) < FEWEST_CHARACTERS or value in _known or _is_ip(value):
        return
    with _lock:
        if not _known:
            _guard_logs()
        _known[value] = name
        # The longest first: one secret may be part of another.
        _pattern = re.compile("|".join(re.escape(one) for one in sorted(_known, key=len, reverse=True)))


def _guard_logs() -> None:
    """Have every log record of this process redacted as it is made."""
    make = logging.getLogRecordFactory()

    def make_redacted(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = make(*arguments, **named)
        try:
            said = record.getMessage()
        except Exception:
            return record  # logging itself reports a message that does not fit its arguments
        if (clean := redact(said)) != said:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[1] is not None:
            # A handler that finds the text here does not format the exception again.
            record.exc_text = redact("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
        return record

    logging.setLogRecordFactory(make_redacted)

"""One text for one value: the JSON that the ledger stores and hashes, the same on every database and every machine.

Keys sorted, no spaces, ASCII only. A number that is none (NaN, infinite) becomes the word, so that a missing measurement
neither breaks a write nor turns into zero. NUL and lone surrogates, which no database keeps, become U+FFFD: what a target
answered must not be able to stop the journal.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Any

from chrysalis.errors import LedgerError

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_MAYBE_UNSTORABLE = re.compile(r"\\u(0000|d[89a-f])")


def clean(text: str) -> str:
    """`text` with what no database can keep replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def canonical_json(value: Any) -> str:
    """The one text of a JSON-ready value. Raises LedgerError for a value that JSON cannot hold."""
    try:
        text = _dump(value)
    except (TypeError, ValueError):
        return _dump(_plain(value))
    return _dump(_plain(value)) if _MAYBE_UNSTORABLE.search(text) else text


def canonical_hash(value: Any) -> str:
    """SHA-256 over the canonical JSON, in hex: what a signer signs for, and what the audit remembers of large details."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _plain(value: Any) -> Any:
    """`value` in JSON's own types. Raises LedgerError."""
    match value:
        case Enum():
            return _plain(value.value)
        case None | bool() | int():
            return value
        case str():
            return clean(value)
        case float():
            return float(value) if math.isfinite(value) else _word(value)
        case Mapping():
            return {clean(str(_plain(key))): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case set() | frozenset():
            return sorted((_plain(item) for item in value), key=_dump)
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    raise LedgerError(
        f"the ledger keeps JSON, and a {type(value).__name__} ({value!r:.80}) is none: "
        "pass text, numbers, lists or mappings of them"
    )


def _word(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"

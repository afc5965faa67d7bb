"""What every part of the ledger stands on: the database, and how a closed set of words is kept closed."""

from typing import Any, get_args

from chrysalis.errors import LedgerError
from chrysalis.ledger.database import Database


class Part:
    """One group of the ledger's calls; `Ledger` is all of them together."""

    def __init__(self, database: Database) -> None:
        self._database = database


def require_word(word: str, allowed: Any, what: str) -> None:
    """Raises LedgerError unless `word` is one of the literals of `allowed`."""
    words = get_args(allowed)
    if word not in words:
        raise LedgerError(f"{word!r} is no {what}; it is one of {', '.join(words)}")


def require_not_negative(number: float | None, what: str) -> None:
    """Raises LedgerError for a negative number or NaN."""
    if number is not None and not number >= 0:
        raise LedgerError(f"{what} is {number}; it is at least 0")

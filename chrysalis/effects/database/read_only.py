"""Read-only mode of a database: every new transaction refuses to write, and every session that was open is ended."""

from psycopg import sql

from chrysalis.effects.database.programs import END_SESSIONS, Address
from chrysalis.errors import WriteNotVerified


def set_read_only(url: str, *, on: bool) -> bool:
    """Switch it and read it back in a new session; returns what stood before. Raises TargetUnavailable, WriteNotVerified."""
    address = Address.parse(url)
    before = is_read_only(url)
    value = sql.SQL("on") if on else sql.SQL("off")
    with address.of("template1").connect() as admin:
        database = sql.Identifier(address.name)
        admin.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}").format(database, value))
        admin.execute(END_SESSIONS, (address.name,))
    if (found := is_read_only(url)) is not on:
        raise WriteNotVerified(f"database {address.name}: read-only mode reads back {found}, expected {on}")
    return before


def is_read_only(url: str) -> bool:
    """Whether a new session may not write. Raises TargetUnavailable."""
    with Address.parse(url).connect() as connection:
        return connection.execute("SHOW default_transaction_read_only").fetchall()[0][0] == "on"

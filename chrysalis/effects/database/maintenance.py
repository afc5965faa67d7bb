"""Upkeep of a database by name. Each action is one fixed statement: nothing that a plan or a person writes becomes SQL."""

import psycopg
from psycopg import sql

from chrysalis.effects.database.programs import Address
from chrysalis.errors import StepFailed

ACTIONS = ("vacuum_analyze", "analyze", "reindex", "restart_pool")
_IDLE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'active'"""


def run(url: str, action: str) -> str:
    """Do it; returns what was done. `restart_pool` ends the sessions that do nothing, so that pools open new ones.

    Raises StepFailed, TargetUnavailable.
    """
    address = Address.parse(url)
    with address.connect() as connection:
        try:
            match action:
                case "vacuum_analyze":
                    connection.execute("VACUUM (ANALYZE)")
                case "analyze":
                    connection.execute("ANALYZE")
                case "reindex":
                    connection.execute(sql.SQL("REINDEX DATABASE {}").format(sql.Identifier(address.name)))
                case "restart_pool":
                    ended = connection.execute(_IDLE).fetchall()[0][0]
                    return f"{ended} idle sessions of {address.name} ended"
                case _:
                    raise StepFailed(f"no upkeep {action!r}; there is {', '.join(ACTIONS)}")
        except psycopg.Error as error:
            raise StepFailed(f"{action} of {address.name}: {error.diag.message_primary or error}") from error
    return f"{action} of {address.name}: done"

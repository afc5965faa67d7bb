"""The PostgreSQL in which the local Prefect server keeps its runs.

Not SQLite: under the load of a rollout the server locks itself out of it, for up to three minutes
(https://github.com/PrefectHQ/prefect/issues/10188). Not the sandbox's PostgreSQL either: rollouts exhaust, restore and
break that one.
"""

import shutil
from pathlib import Path

from chrysalis.effects.database.own_server import server_user
from chrysalis.local.processes import Processes
from chrysalis.sandbox import postgres
from chrysalis.sandbox.layout import Layout

NAME = "prefect-database"
_CONNECTIONS = 100


class PrefectDatabase:
    """One database cluster, made anew at each start."""

    def __init__(self, home: Path) -> None:
        self._layout = Layout(home / NAME)

    @property
    def url(self) -> str:
        """What Prefect's server connects to."""
        return postgres.uri(self._layout).replace("postgresql://", "postgresql+asyncpg://", 1)

    def start(self, processes: Processes) -> None:
        """Make it, and start its server; returns before it answers. Raises SettingsError."""
        self.remove()
        self._layout.folder.mkdir()
        postgres.make_data_folder(self._layout)
        command = postgres.command(self._layout, max_connections=_CONNECTIONS, archive=False)
        processes.start(NAME, command, folder=self._layout.postgres_data, user=server_user())

    def answers(self) -> bool:
        """Does it take connections?"""
        return postgres.answers(self._layout)

    def remove(self) -> None:
        """All its files; its server must have ended. Safe to repeat."""
        postgres.remove_folders(self._layout)
        shutil.rmtree(self._layout.folder, ignore_errors=True)

"""Pictures of the record, where there is no Prefect to show them."""

import os

from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, temporary_settings

from chrysalis.local.processes import descendants
from tasks.artifacts import show_markdown


def test_without_a_server_no_picture_is_made_and_none_is_started_for_it() -> None:
    before = descendants(os.getpid())
    with temporary_settings({PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: True}, restore_defaults={PREFECT_API_URL}):
        show_markdown("a-key", "text", "description")
    assert descendants(os.getpid()) == before

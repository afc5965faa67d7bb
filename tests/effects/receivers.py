"""Real receivers on loopback: a mail server, and the hosts of chat and paging services (tests/metrics/servers.py)."""

from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message as Mail
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from chrysalis.sandbox.ports import free_ports

SENDER, RECEIVER = "chrysalis@example.org", "oncall@example.org"


class MailServer(Message):  # type: ignore[misc]
    """Keeps what it gets. With `refuses`, it says so to every mail."""

    def __init__(self, refuses: str = "") -> None:
        super().__init__()
        self.mails: list[Mail] = []
        self.refuses = refuses
        self.port = free_ports(1)[0]

    def handle_message(self, message: Mail) -> None:
        self.mails.append(message)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        return self.refuses or str(await super().handle_DATA(server, session, envelope))

    @property
    def address(self) -> str:
        """As a plan names it."""
        return f"mailto://127.0.0.1:{self.port}?mode=insecure&from={SENDER}&to={RECEIVER}"


@contextmanager
def mail_server(refuses: str = "") -> Iterator[MailServer]:
    """A mail server on a free loopback port."""
    server = MailServer(refuses)
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


def body_of(mail: Mail) -> str:
    """The plain text of a mail."""
    part = next(one for one in mail.walk() if one.get_content_type() == "text/plain")
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()

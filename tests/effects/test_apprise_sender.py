"""Notices by Apprise, against real receivers: delivered, refused, slow, gone; never a secret, never held up."""

import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from time import monotonic

import pytest

from chrysalis.effects import apprise_sender
from chrysalis.effects.notice import Delivery, Notice
from chrysalis.effects.notices import deliver
from tests.effects.receivers import RECEIVER, body_of, mail_server
from tests.metrics.servers import Asked, LoopbackServer, Reply, serving

NOTICE = Notice("page", "[crystal-7] error rate", "3.1 % > at most 2 %", "crystal-7", "crystal-7:breach")
PASSWORD, TOKEN = "Sw0rdfish-9", "kz81TzQf7hRb20xLmNcv5a"


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with serving(lambda _: Reply(200, b'{"ok": true}')) as running:
        yield running


def at(server: LoopbackServer, address: str) -> str:
    return address.replace("HOST", server.url.removeprefix("http://"))


def test_a_mail_arrives_with_its_severity_and_its_text() -> None:
    with mail_server() as server:
        assert deliver(NOTICE, "mail", server.address) == Delivery("mail", True)
    (mail,) = server.mails
    assert (mail["subject"], mail["to"]) == ("[page] [crystal-7] error rate", RECEIVER)
    assert body_of(mail).strip() == "3.1 % > at most 2 %"


def test_markdown_is_shown_as_a_page_in_a_mail() -> None:
    with mail_server() as server:
        notice = Notice("info", "daily", "# Today\n\n- crystal-7: 30 %", "crystal-7", "k", markdown=True)
        assert deliver(notice, "mail", server.address).delivered
    (mail,) = server.mails
    assert any("<h1>Today</h1>" in str(part.get_payload(decode=True)) for part in mail.walk() if not part.is_multipart())


@pytest.mark.parametrize(
    ("address", "says"),
    [
        pytest.param(f"json://robot:{PASSWORD}@HOST/hook/{TOKEN}", lambda body: body["message"], id="json"),
        pytest.param(f"mmost://HOST/{TOKEN}", lambda body: body["text"].partition("\r\n")[2], id="Mattermost"),
        pytest.param(f"rocket://{TOKEN}/{TOKEN}@HOST", lambda body: body["text"].partition("\n")[2], id="Rocket.Chat"),
    ],
)
def test_a_service_on_a_host_of_its_own_gets_it(server: LoopbackServer, address: str, says: object) -> None:
    assert deliver(NOTICE, "chat", at(server, address)) == Delivery("chat", True)
    (asked,) = server.asked
    assert says(json.loads(asked.body)) == "3.1 % > at most 2 %"  # type: ignore[operator]


def test_a_passing_fault_is_tried_again_and_a_refusal_is_not() -> None:
    replies = iter([Reply(503), Reply(200)])
    with serving(lambda _: next(replies)) as server:
        assert deliver(NOTICE, "chat", at(server, "json://HOST")) == Delivery("chat", True, tries=2)
    with serving(lambda _: Reply(403)) as server:
        found = deliver(NOTICE, "chat", at(server, "json://HOST"))
    assert (found.delivered, found.tries) == (False, 1)
    assert found.reason.startswith("json: ")
    assert "error=403" in found.reason


def test_a_mail_server_that_refuses_is_told_with_its_reason() -> None:
    with mail_server("554 no mail from robots") as server:
        found = deliver(NOTICE, "mail", server.address, within_s=0.5)
    assert not found.delivered
    assert "mailto: " in found.reason


def test_one_that_never_answers_is_given_up_in_time_and_so_many_of_them_take_no_more_threads() -> None:
    """A socket that accepts and says nothing, for SMTP, whose client has no read timeout of its own here."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"mailto://127.0.0.1:{silent.getsockname()[1]}?mode=insecure&from=a@example.org&to=b@example.org"
        began = monotonic()
        found = deliver(NOTICE, "mail", address, within_s=0.4)
        assert monotonic() - began < 30
        assert not found.delivered
        taken = [apprise_sender._hanging.acquire(blocking=False) for _ in range(apprise_sender.MOST_HANGING)].count(True)
        try:
            assert "earlier notices still hang" in deliver(NOTICE, "mail", address, within_s=0.1).reason
        finally:
            for _ in range(taken):
                apprise_sender._hanging.release()


def test_a_redirect_is_not_followed(server: LoopbackServer) -> None:
    with serving(lambda _: Reply(302, headers={"Location": f"{server.url}/elsewhere"})) as sender:
        assert not deliver(NOTICE, "chat", at(sender, "json://HOST"), within_s=0.5).delivered
    assert server.asked == []


def test_an_address_that_no_service_understands_says_so_without_repeating_it() -> None:
    found = deliver(NOTICE, "chat", f"nosuch://{TOKEN}/x")
    assert (found.delivered, found.tries) == (False, 1)
    assert found.reason == "nosuch: no notifier understands this address; see docs/notices.md"


def test_no_secret_of_an_address_is_in_a_log_line_or_a_reason(caplog: pytest.LogCaptureFixture) -> None:
    """Not in those of Apprise, of requests or of httpx, whatever their level, and not when the server repeats them."""

    def echo(asked: Asked) -> Reply:
        return Reply(500, f"{asked.path} {asked.headers.get('authorization')} {TOKEN} {PASSWORD}".encode())

    with serving(echo) as server, caplog.at_level(logging.DEBUG):
        for name in ("httpx", "httpcore", "urllib3", "apprise"):
            caplog.set_level(logging.DEBUG, logger=name)
        addresses = (f"json://robot:{PASSWORD}@HOST/{TOKEN}?+X-Key={TOKEN}", f"mmost://HOST/{TOKEN}", f"http://HOST/{TOKEN}")
        said = [deliver(NOTICE, "chat", at(server, address), within_s=0.3) for address in addresses]
    assert not any(one.delivered for one in said)
    assert server.asked
    shown = caplog.text + str([record.__dict__ for record in caplog.records]) + str(said)
    assert "POST /" in shown
    assert TOKEN not in shown
    assert PASSWORD not in shown


def test_senders_in_many_threads_each_get_their_own_reason() -> None:
    found: dict[int, Delivery] = {}
    with serving(lambda asked: Reply(int(asked.path.strip("/")))) as server:

        def one(code: int) -> None:
            found[code] = deliver(NOTICE, "chat", at(server, f"json://HOST/{code}"), within_s=0.2)

        threads = [threading.Thread(target=one, args=(code,)) for code in (400, 403, 404, 410)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(f"error={code}" in one.reason for code, one in found.items())


def test_apprise_is_not_read_in_until_an_address_needs_it() -> None:
    """Not by the flows, the watch or the command line: it costs a rollback nothing."""
    program = "import sys, flows.rollout, flows.watch, chrysalis.cli; sys.exit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=120).returncode == 0

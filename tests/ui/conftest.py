"""A real browser, and the Prefect UI of the session's stack in it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from chrysalis.errors import SettingsError
from chrysalis.local.browser import Browser, ensure_browser
from tests.desk import at_desk, tidy
from tests.stack import RunningStack
from tests.ui.page import Page

WIDTH, HEIGHT = 1400, 1300


@pytest.fixture(scope="session")
def browser() -> Browser:
    """Where there is no browser these tests are skipped, except in CI."""
    try:
        return ensure_browser()
    except SettingsError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture
def page(browser: Browser, stack: RunningStack, tmp_path: Path) -> Iterator[Page]:
    """A new window of the Prefect UI. It can reach nothing but this machine; what it started is ended behind it."""
    options = ChromeOptions()
    options.binary_location = str(browser.chromium)
    for argument in (
        "--headless=new",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        f"--window-size={WIDTH},{HEIGHT}",
        f"--user-data-dir={tmp_path / 'profile'}",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ):
        options.add_argument(argument)
    driver = Chrome(options=options, service=ChromeService(str(browser.driver)))
    try:
        driver.set_window_size(WIDTH, HEIGHT)
        yield Page(driver, stack.ui_url)
    finally:
        driver.quit()
        with at_desk(stack, []) as desk:
            tidy(desk)

"""The Prefect UI as a person uses it: by the words on its buttons and labels, never by its inner structure.

Every wait is for something to be seen; nothing sleeps for a fixed time. Screenshots go to `test-output/ui`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from chrysalis.settings import CHECKOUT
from tests.stack import until

SHOTS = CHECKOUT / "test-output" / "ui"
SEE_S = 30.0
LOOKS_BEFORE_RELOAD = 40
"""The UI asks the server again by itself, but not for everything: after this many looks the page is loaded anew."""
T = TypeVar("T")


class Page:
    """What is in the browser's window now."""

    def __init__(self, driver: WebDriver, ui_url: str) -> None:
        self._driver, self._ui_url = driver, ui_url

    def open(self, path: str) -> None:
        self._driver.get(self._ui_url + path)

    @property
    def url(self) -> str:
        return self._driver.current_url

    @property
    def text(self) -> str:
        """Everything that can be read."""
        return self._driver.find_element(By.TAG_NAME, "body").text

    def shot(self, name: str) -> Path:
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        self._driver.save_screenshot(str(path))
        return path

    def see(self, *texts: str, timeout_s: float = SEE_S) -> None:
        """Wait until all of the texts are on the page."""
        self._eventually(lambda: all(text in self.text for text in texts), f"to see {texts}", timeout_s)

    def see_at_last(self, text: str, *, timeout_s: float = 60.0) -> None:
        """The same for what takes the server a while: the page is loaded anew now and then."""
        looks = 0

        def look() -> bool:
            nonlocal looks
            looks += 1
            if looks % LOOKS_BEFORE_RELOAD == 0:
                self._driver.refresh()
            return text in self.text

        self._eventually(look, f"to see {text!r}", timeout_s)

    def see_picture(self, *, at_least_wide: int) -> None:
        """Wait until a picture of data is drawn, not only there: its own size is known."""
        drawn = "return [...document.querySelectorAll('img[src^=\"data:image\"]')].map(one => one.naturalWidth)"
        self._eventually(lambda: max(self._driver.execute_script(drawn), default=0) >= at_least_wide, "a picture", SEE_S)

    def click(self, text: str, *, role: str = "button") -> None:
        """Press the button (or tab, menuitem, option, link) with this text."""
        wanted = {"button": "//button", "link": "//a"}.get(role, f"//*[@role='{role}']")

        def press() -> bool:
            found = [one for one in self._driver.find_elements(By.XPATH, wanted) if one.text.strip() == text]
            if not found:
                return False
            found[-1].click()
            return True

        self._eventually(press, f"to press {text!r}", SEE_S)

    def click_until_gone(self, text: str, gone: str) -> None:
        """Press the button until what it was to end is off the page: as a person does whom a busy server answers nothing."""

        def press() -> bool:
            if gone not in self.text:
                return True
            for one in self._driver.find_elements(By.TAG_NAME, "button"):
                if one.text.strip() == text and one.is_enabled():
                    one.click()
            return False

        self._eventually(press, f"{gone!r} to be gone after {text!r}", SEE_S)

    def fill(self, label: str, text: str) -> None:
        """Type into the field with this label, in place of what is there."""

        def type_it() -> bool:
            field = self._field(label)
            if field is None:
                return False
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(text)
            return field.get_attribute("value") == text

        self._eventually(type_it, f"to fill in {label!r}", SEE_S)

    def choose(self, label: str, option: str) -> None:
        """Pick an option of the choice with this label."""

        def open_it() -> bool:
            field = self._field(label)
            if field is None:
                return False
            field.click()
            return True

        self._eventually(open_it, f"to open {label!r}", SEE_S)
        self.click(option, role="option")

    def leave(self, path: str) -> None:
        """Wait until the browser is somewhere else."""
        self._eventually(lambda: path not in self.url, f"to leave {path}", SEE_S)

    def _field(self, label: str) -> WebElement | None:
        for one in self._driver.find_elements(By.TAG_NAME, "label"):
            if one.text.removesuffix("(Optional)").strip() == label:
                return self._driver.find_element(By.ID, one.get_attribute("for") or "")
        return None

    def _eventually(self, reached: Callable[[], T | None], what: str, timeout_s: float) -> T:
        """Wait; a page that redraws itself under the look, or a notice that covers a button, is looked at again."""

        def look() -> T | None:
            try:
                return reached()
            except (StaleElementReferenceException, ElementClickInterceptedException):
                return None

        try:
            return until(look, what, timeout_s=timeout_s)
        except AssertionError as late:
            shot = self.shot("failed")
            raise AssertionError(f"{late}; the page is {self.url}, its picture {shot}; it says:\n{self.text}") from None

"""Finds Chromium and its driver, with which tests press the buttons of the Prefect UI; installs Debian's where it may.

An installed pair comes first. Chromium needs too many libraries to be unpacked below the project as Prometheus is, so where
there is none, only root on a machine with apt-get gets Debian's packages installed. Anything else is one line of advice.
Run as a program (`python -m chrysalis.local.browser`) it prints the browser's path.
"""

import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chrysalis.errors import SettingsError
from chrysalis.sandbox.programs import run

PACKAGES = ("chromium", "chromium-driver")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
INSTALL_TIMEOUT_S = 280.0
ADVICE = (
    "install Chromium and its driver so that `chromium` and `chromedriver` are on PATH "
    f"(Debian: apt-get install {' '.join(PACKAGES)})"
)


@dataclass(frozen=True, slots=True)
class Browser:
    """The two programs."""

    chromium: Path
    driver: Path


def find_browser() -> Browser | None:
    """Both programs from PATH; None where one is missing."""
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which(DRIVER)
    return Browser(Path(chromium), Path(driver)) if chromium and driver else None


def ensure_browser() -> Browser:
    """The same, installed first where there is none and it may be. Raises SettingsError with what to install."""
    if found := find_browser():
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SettingsError(f"chromium and chromedriver are not both on PATH; {ADVICE}")
    install = ("install", "--yes", "--no-install-recommends", *PACKAGES)
    try:
        _apt_get(*install)
    except SettingsError:
        with suppress(SettingsError):
            _apt_get("update")  # an image often comes without package lists
        _apt_get(*install)
    if (found := find_browser()) is None:
        raise SettingsError(f"apt-get installed {' and '.join(PACKAGES)}, but they are not both on PATH; {ADVICE}")
    return found


def _apt_get(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", *arguments], Path.cwd(), environment=environment, timeout_s=INSTALL_TIMEOUT_S, told=1, advice=ADVICE)


def main() -> int:
    """Print where the browser is; 1 and one line on stderr where none can be had."""
    try:
        sys.stdout.write(f"{ensure_browser().chromium}\n")
    except SettingsError as error:
        sys.stderr.write(f"chrysalis: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Keeps secrets out of what a check says: values of variables whose names say so, and passwords in addresses.

A value of fewer than `FEWEST_CHARACTERS` is not replaced: it would garble every text.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

FEWEST_CHARACTERS = 4
_SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|CREDENTIAL|COOKIE|KEY|DSN|WEBHOOK", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)([^\s:/@]*):([^\s@]+)@")


class Redactor:
    """Replaces every secret of these variables, and of those named in `also`, by `[NAME]`."""

    def __init__(self, variables: Mapping[str, str], also: frozenset[str] = frozenset()) -> None:
        secrets: dict[str, str] = {}
        for name, value in variables.items():
            if name in also or _SECRET_NAME.search(name):
                secrets[value.strip()] = name
            if "://" in value and (password := _password(value)):
                secrets |= {password: name, unquote(password): name}
        self._secrets = {value: name for value, name in secrets.items() if len(value) >= FEWEST_CHARACTERS}
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(lambda found: f"[{self._secrets[found[0]]}]", text)
        return _USERINFO.sub(r"\1:***@", text)


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None

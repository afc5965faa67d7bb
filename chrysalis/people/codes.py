"""One-time codes (RFC 6238, six digits, SHA-1, 30 s): made by any authenticator, checked here, sealed at rest.

A secret is sealed together with the name of its person, so that a row moved to another name opens for nobody.
"""

import json
import os
import re
from datetime import datetime
from hmac import compare_digest
from pathlib import Path

import pyotp
from cryptography.fernet import Fernet, InvalidToken

from chrysalis.errors import SettingsError

STEP_S = 30
WINDOW = 1
"""Time steps before and after the current one whose code is taken: clocks differ, and people type slowly."""
_CODE = re.compile(r"\d{6}", re.ASCII)
_ISSUER = "Chrysalis"


def new_secret() -> str:
    """160 random bits in base32."""
    return pyotp.random_base32()


def address(person: str, secret: str) -> str:
    """What an authenticator reads from the QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=person, issuer_name=_ISSUER)


def code_at(secret: str, at: datetime) -> str:
    """The code of that moment."""
    return pyotp.TOTP(secret).at(at)


def matching_step(secret: str, code: str, at: datetime) -> int | None:
    """The time step whose code this is, within the window around `at`; None when it is none of them.

    Every step of the window is compared, each in constant time, so that how long it takes tells nothing.
    """
    given = code.replace(" ", "")
    readable = _CODE.fullmatch(given) is not None
    totp = pyotp.TOTP(secret)
    now_step = int(at.timestamp()) // STEP_S
    found: int | None = None
    for step in range(now_step - WINDOW, now_step + WINDOW + 1):
        if compare_digest(totp.generate_otp(step).encode(), given.encode("utf-8", "replace")) and readable:
            found = step
    return found


def seal(key: bytes, person: str, secret: str) -> str:
    """The secret, encrypted and bound to the name."""
    return Fernet(key).encrypt(json.dumps({"person": person, "secret": secret}).encode()).decode()


def unseal(key: bytes, person: str, sealed: str) -> str:
    """The secret. Raises SettingsError when it was sealed with another key, for another person, or was changed."""
    try:
        kept = json.loads(Fernet(key).decrypt(sealed.encode()))
    except (InvalidToken, ValueError):
        raise SettingsError(
            f"the secret of {person} cannot be opened with this key; set CHRYSALIS_KEY_FILE to the key it was sealed with, "
            f"or run `chrysalis people enrol {person}` again"
        ) from None
    if kept["person"] != person:
        raise SettingsError(f"the secret of {person} was sealed for {kept['person']}; the ledger was changed by hand")
    return str(kept["secret"])


def read_key(path: Path, *, make: bool = False) -> bytes:
    """The key that seals; with `make` a new one where there is none. Raises SettingsError for one that others can read."""
    if make and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(Fernet.generate_key())
        except FileExistsError:
            pass
    try:
        mode = path.stat().st_mode & 0o777
        key = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(
            f"{path}: the key to one-time codes cannot be read: {error.strerror}; set CHRYSALIS_KEY_FILE, or run "
            "`chrysalis people enrol` where the ledger's home is"
        ) from error
    if mode & 0o077:
        raise SettingsError(f"{path}: mode {mode:o}, expected 600: others on this machine can read it; chmod 600 it")
    try:
        Fernet(key)
    except ValueError:
        raise SettingsError(f"{path}: found no key of 32 bytes in base64; restore it, or delete it and enrol anew") from None
    return key

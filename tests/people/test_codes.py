"""One-time codes against the standard's own vectors; and their secrets, which open only for whom they were sealed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from chrysalis.errors import SettingsError
from chrysalis.people import codes

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""RFC 6238, appendix B: the ASCII string 12345678901234567890."""
VECTORS = [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")]


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    """The last six of the eight digits that the RFC prints for SHA-1."""
    assert codes.code_at(SECRET, at(seconds)) == code
    assert codes.matching_step(SECRET, code, at(seconds)) == seconds // 30


@pytest.mark.parametrize(("off", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_is_taken_half_a_minute_before_and_after(off: int, taken: bool) -> None:
    code = codes.code_at(SECRET, at(1_000_000_020 + 30 * off))
    assert (codes.matching_step(SECRET, code, at(1_000_000_020)) is not None) is taken


@pytest.mark.parametrize("code", ["", "28708", "2870822", "abcdef", "２８７０８２", "\x00", "28708\ud800", "287 082 "])
def test_what_is_no_code_matches_nothing_and_spaces_do_not_count(code: str) -> None:
    assert codes.matching_step(SECRET, code, at(59)) == (1 if code == "287 082 " else None)


def test_a_secret_opens_for_its_person_and_with_its_key_only(tmp_path: Path) -> None:
    key = codes.read_key(tmp_path / "home" / "key", make=True)
    sealed = codes.seal(key, "pia", SECRET)
    assert SECRET not in sealed
    assert codes.unseal(codes.read_key(tmp_path / "home" / "key"), "pia", sealed) == SECRET
    with pytest.raises(SettingsError, match="was sealed for pia"):
        codes.unseal(key, "bob", sealed)
    for other_key, other in ((Fernet.generate_key(), sealed), (key, sealed[:-4] + "AAAA"), (key, "")):
        with pytest.raises(SettingsError, match="cannot be opened with this key"):
            codes.unseal(other_key, "pia", other)


def test_a_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(SettingsError, match="cannot be read"):
        codes.read_key(path)
    made = codes.read_key(path, make=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert codes.read_key(path, make=True) == made
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="mode 640, expected 600"):
        codes.read_key(path)
    path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(SettingsError, match="no key of 32 bytes"):
        codes.read_key(path)

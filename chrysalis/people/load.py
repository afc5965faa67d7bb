"""The people file: read, checked, and refused when it holds a secret or something that is no key."""

import re
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from chrysalis.people.model import People, Person
from chrysalis.plan.document import Location
from chrysalis.plan.finding import Found
from chrysalis.plan.load import read_text
from chrysalis.plan.reading import parse_model

OURS = frozenset({"chrysalis", "watch", "schedule", "nobody"})
"""Names under which the machinery itself is in the record; no person is called so."""
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_PLAIN_ADDRESS = re.compile(r"(mailto:|tel:)?[^\s:/@]+(@[^\s:/@]+)?")
_SECRET = re.compile(r"PRIVATE KEY|otpauth:|^[A-Z2-7]{32,}=*$")
"""A private key, an enrolment address, a bare base32 secret."""


def load_people(path: Path) -> People:
    """Read and check a file. Raises PlanError with all problems, a line each."""
    return parse_people(read_text(path), str(path))


def parse_people(text: str, file: str) -> People:
    """Check a text; `file` is what messages call it. Raises PlanError with all problems, a line each."""
    return parse_model(People, text, file, _problems)


def _problems(people: People) -> Iterator[Found]:
    for name, person in people.people.items():
        if name in OURS:
            yield ("people", name), f"{name!r} is a name of the machinery itself; call the person something else"
        yield from _person(("people", name), person)
    yield from _shared_keys(people)


def _person(at: Location, person: Person) -> Iterator[Found]:
    if _SECRET.search(person.name):
        yield (*at, "name"), _no_secret("a name")
    for index, address in enumerate(person.contact):
        if _SECRET.search(address):
            yield (*at, "contact", index), _no_secret("an address")
        elif not (_PLAIN_ADDRESS.fullmatch(address) or _VARIABLE.search(address)):
            yield (
                (*at, "contact", index),
                f"found {address!r}, which may hold a secret; name the variable that holds it, such as ${{ADA_CONTACT}}",
            )
    for index, key in enumerate(person.ssh):
        if _SECRET.search(key):
            yield (*at, "ssh", index), _no_secret("a public key, as in ~/.ssh/id_ed25519.pub")
        elif wrong := _no_key(key):
            yield (*at, "ssh", index), f"found {key[:40]!r}, expected a public key, as in ~/.ssh/id_ed25519.pub: {wrong}"


def _no_key(text: str) -> str | None:
    if "\n" in text.strip():
        return "it has more than one line"
    try:
        load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        return str(error) or "it cannot be read"
    return None


def _shared_keys(people: People) -> Iterator[Found]:
    """One key is one person: whoever signs with it is somebody."""
    first: dict[str, str] = {}
    for name, person in people.people.items():
        for index, key in enumerate(person.ssh):
            blob = " ".join(key.split()[:2])
            if (other := first.setdefault(blob, name)) != name:
                yield ("people", name, "ssh", index), f"the same key as that of {other}; each person has keys of their own"


def _no_secret(wanted: str) -> str:
    return f"found what looks like a secret, expected {wanted}; no secret belongs here: `chrysalis people enrol` keeps them"

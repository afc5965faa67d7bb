"""The people of the plans, and how they prove who they are: by a one-time code that is handed out once, or by a key.

A person has three codes and then one in 30 s, and a walk asks for more. So who has no code at hand signs with an SSH key.
"""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from ruamel.yaml import YAML

from chrysalis.local.people import ENROLLED_BY, Authenticators

CODE, KEY = "code", "key"


def give_keys(people_file: Path, folder: Path) -> None:
    """Make each person of the file a key of their own below `folder`, and enter the public one."""
    folder.mkdir()
    yaml = YAML()
    people = yaml.load(people_file)
    for name, person in people["people"].items():
        key = Ed25519PrivateKey.generate()
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        person["ssh"] = [public.decode()]
    yaml.dump(people, people_file)


class Signers:
    """Everybody enrolled for codes, besides the keys that they have."""

    def __init__(self, keys: Path) -> None:
        self._keys = keys
        self._authenticators = Authenticators(ENROLLED_BY)

    def proof(self, person: str) -> tuple[str, str]:
        """A code that nobody was given yet, or where their key is."""
        code = self._authenticators.code_at_hand(person)
        if code is None:
            return KEY, str(self._keys / person)
        self._authenticators.used(person, code)
        return CODE, code

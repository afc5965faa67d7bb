"""SSH signatures (`ssh-keygen -Y`): made with a person's own key, verified by anybody with the public one.

The namespace keeps a signature that was made for something else from counting here.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from chrysalis.errors import NotAllowed, SettingsError

NAMESPACE = "chrysalis-sign-off"
MOST_CHARACTERS = 20_000
"""Of a signed text or a signature; real ones have under 4,000."""
TIMEOUT_S = 10.0


def sign(text: str, key_file: Path, *, timeout_s: float | None = None) -> str:
    """The signature of `text` with a private key, or with the one of an agent whose public key is given.

    ssh-keygen may ask for a passphrase at the terminal. Raises SettingsError when it cannot sign.
    """
    command = [_program(), "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key_file)]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise SettingsError(f"ssh-keygen did not sign with {key_file} within {timeout_s:g} s") from None
    if done.returncode:
        raise SettingsError(f"ssh-keygen cannot sign with {key_file}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def allowed_signers(person: str, keys: tuple[str, ...]) -> str:
    """The lines of an allowed-signers file for one person."""
    return "".join(f'{person} namespaces="{NAMESPACE}" {" ".join(key.split()[:2])}\n' for key in keys)


def verify(text: str, signature: str, person: str, keys: tuple[str, ...]) -> str:
    """Which of the person's keys made the signature. Raises NotAllowed when none did."""
    if not keys:
        raise NotAllowed(f"{person} has no SSH key in the people file")
    if len(text) > MOST_CHARACTERS or len(signature) > MOST_CHARACTERS:
        raise NotAllowed(f"the signed text or the signature is longer than {MOST_CHARACTERS} characters")
    for key in keys:
        if _made_by(text, signature, person, key):
            return key
    raise NotAllowed(f"the signature is not by a key of {person}, or not of this text")


def _made_by(text: str, signature: str, person: str, key: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="chrysalis-ssh-") as folder:
        signers, signed = Path(folder, "allowed_signers"), Path(folder, "signature")
        signers.write_text(allowed_signers(person, (key,)))
        signed.write_text(signature)
        command = [_program(), "-Y", "verify", "-f", str(signers), "-I", person, "-n", NAMESPACE, "-s", str(signed)]
        try:
            done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise NotAllowed(f"ssh-keygen did not answer within {TIMEOUT_S:g} s; try again") from None
    return done.returncode == 0


def _program() -> str:
    found = shutil.which("ssh-keygen")
    if found is None:
        raise SettingsError("ssh-keygen is not installed; install OpenSSH 8.1 or newer")
    return found

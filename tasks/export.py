"""SSH signatures as files that an auditor verifies with ssh-keygen alone, without us and years later.

Taken from the audit, which keeps also those that were replaced by a later decision.
"""

from pathlib import Path

from chrysalis.errors import SettingsError
from chrysalis.people import ssh
from tasks.workspace import Workspace

_SCRIPT = """#!/bin/sh
# Verifies every signature of this folder. Compare allowed_signers with the people file of that time: the keys are the trust.
cd "$(dirname "$0")" || exit 1
failed=0
for text in *.txt; do
  by=$(sed -n 's/^by: //p' "$text")
  ssh-keygen -Y verify -f allowed_signers -I "$by" -n {namespace} -s "${{text%.txt}}.sig" < "$text" || failed=1
done
exit $failed
"""


def export_sign_offs(workspace: Workspace, folder: Path) -> list[str]:
    """Write them below a new folder; returns the names of the signed texts. Raises SettingsError for a folder in use."""
    signed = [
        entry.details()
        for entry in workspace.ledger.audit(subject=workspace.rollout.id)
        if entry.action == "signed" and entry.details().get("proof", {}).get("kind") == "ssh"
    ]
    if not signed:
        return []
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(f"{folder} is not empty; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    signers: dict[str, None] = {}
    names = []
    for number, one in enumerate(signed, start=1):
        name = f"{number:02d}-{one['approver']}"
        (folder / f"{name}.txt").write_bytes(one["proof"]["text"].encode())
        (folder / f"{name}.sig").write_bytes(one["proof"]["signature"].encode())
        signers[ssh.allowed_signers(one["approver"], (one["proof"]["key"],))] = None
        names.append(name)
    (folder / "allowed_signers").write_text("".join(signers))
    script = folder / "verify.sh"
    script.write_text(_SCRIPT.format(namespace=ssh.NAMESPACE))
    script.chmod(0o755)
    return names

"""Signing at the terminal: by a one-time code or an SSH key; and what an auditor takes away."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from chrysalis.cli_common import By, Json, RolloutId, acting, answer, wake
from chrysalis.errors import NotAllowed, SettingsError
from chrysalis.ledger.records import Decision
from chrysalis.people import ssh
from chrysalis.settings import CHECKOUT
from tasks import approve as sign_offs
from tasks.export import export_sign_offs
from tasks.proof import Code, Offered, SshSigned
from tasks.workspace import Workspace

app = typer.Typer(no_args_is_help=True)
Comment = Annotated[str, typer.Option(help="Why; it stays in the record.")]
Role = Annotated[str | None, typer.Option(help="Sign in this one of your roles.")]
OneTime = Annotated[str, typer.Option(help="The six digits that your authenticator shows; asked for where one is needed.")]
SshKey = Annotated[Path | None, typer.Option(help="Sign with this SSH key; with an agent, its public half.")]
Text = Annotated[Path | None, typer.Option(help="A text of `chrysalis sign-offs text`, signed elsewhere.")]
Signature = Annotated[Path | None, typer.Option(help="Its signature, as `ssh-keygen -Y sign` wrote it.")]


def _signing(decision: Decision, summary: str) -> Callable[..., None]:
    """The command that signs with this decision; both take the same proof."""

    def sign(
        rollout_id: RolloutId,
        by: By = "",
        comment: Comment = "",
        role: Role = None,
        code: OneTime = "",
        ssh_key: SshKey = None,
        text: Text = None,
        signature: Signature = None,
        as_json: Json = False,
    ) -> None:
        _sign(rollout_id, decision, acting(by), comment, role, _Given(code, ssh_key, text, signature), as_json=as_json)

    sign.__name__, sign.__doc__ = decision, summary
    return sign


approve = _signing("approve", "Sign the pending sign-off.")
reject = _signing("reject", "Refuse the pending sign-off: the rollout goes back and ends as rejected.")


class _Given:
    """What the options say of the proof."""

    def __init__(self, code: str, ssh_key: Path | None, text: Path | None, signature: Path | None) -> None:
        if (text is None) != (signature is None):
            raise SettingsError("--text and --signature belong together: the signed text, and the signature of it")
        self.code, self.ssh_key, self.text, self.signature = code, ssh_key, text, signature

    def offered(self, workspace: Workspace, who: str, decision: Decision, comment: str) -> Offered:
        if self.text is not None and self.signature is not None:
            return SshSigned(_read(self.text), _read(self.signature))
        if self.ssh_key is not None:
            text = sign_offs.statement_of(workspace, who, decision, comment).text()
            return SshSigned(text, ssh.sign(text, self.ssh_key))
        if self.code:
            return Code(self.code)
        _, spec = sign_offs.pending(workspace)
        if sign_offs.needed_proof(workspace, spec) in ("code", "any") and sys.stdin.isatty():
            return Code(typer.prompt("One-time code", err=True))
        return None


def _sign(
    rollout_id: str, decision: Decision, who: str, comment: str, role: str | None, given: _Given, *, as_json: bool
) -> None:
    workspace = Workspace.open(rollout_id, 0)
    planned, spec = sign_offs.pending(workspace)
    offered = given.offered(workspace, who, decision, comment)
    signed = sign_offs.sign(
        workspace, planned.id, who, decision=decision, comment=comment, door="cli", role=role, offered=offered
    )
    missing = sign_offs.count(workspace, planned, spec).missing if decision == "approve" else ()
    wake(workspace.rollout, f"{who} signed")
    left = f"; still needs {', '.join(missing)}" if missing else ""
    behalf = f" for {signed.on_behalf_of}" if signed.on_behalf_of else ""
    did = f"{planned.title}: {decision} by {who}{behalf} as {signed.role}{left}"
    more = {"step": planned.id, "decision": decision, "by": who, "role": signed.role, "proof": signed.proof["kind"]}
    answer(rollout_id, did, as_json, **more, missing=missing)


@app.command("text")
def text_to_sign(
    rollout_id: RolloutId,
    by: By = "",
    decision: Annotated[str, typer.Option(help="approve or reject")] = "approve",
    comment: Comment = "",
) -> None:
    """Write the text to sign, for a key on another machine: ssh-keygen -Y sign -n chrysalis-sign-off -f KEY FILE."""
    if decision not in ("approve", "reject"):
        raise SettingsError(f"--decision: found {decision!r}, expected approve or reject")
    workspace = Workspace.open(rollout_id, 0)
    kind: Decision = "approve" if decision == "approve" else "reject"
    sys.stdout.write(sign_offs.statement_of(workspace, acting(by), kind, comment).text())


@app.command("open")
def open_anew(rollout_id: RolloutId, by: By = "", as_json: Json = False) -> None:
    """Give a sign-off whose time is over its time again; everybody signs anew."""
    workspace = Workspace.open(rollout_id, 0)
    title = sign_offs.open_anew(workspace, acting(by))
    wake(workspace.rollout, f"opened anew by {acting(by)}")
    answer(rollout_id, f"{title} is open again; what was signed before counts no more", as_json)


@app.command("export")
def export(
    rollout_id: RolloutId, folder: Annotated[Path, typer.Argument(help="A new folder.")], as_json: Json = False
) -> None:
    """Write every SSH signature with its text, and how to verify it with nothing but ssh-keygen."""
    if folder.resolve().is_relative_to(CHECKOUT / "deployments"):
        raise SettingsError(f"{folder} is where plans are; export to another folder")
    written = export_sign_offs(Workspace.open(rollout_id, 0), folder)
    if not written:
        raise NotAllowed(f"{rollout_id} has no sign-off with an SSH signature; `chrysalis show` lists its sign-offs")
    answer(rollout_id, f"{len(written)} signature(s) in {folder}; `sh {folder}/verify.sh` verifies them", as_json)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from error

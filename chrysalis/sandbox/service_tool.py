"""What plays the service's own tool (npm, for most): `python -m chrysalis.sandbox.service_tool FOLDER ARGUMENT...`.

A plan runs `${SERVICE_COMMAND}`; in the sandbox that is a script which leads here, and the system's profile says what
each command does (`Profile.command`). Its exit code is the command's; 64 for one that the profile does not know.
"""

import sys
from pathlib import Path

from chrysalis.sandbox.profiles import load_profile
from chrysalis.sandbox.sandbox import PROJECT, Sandbox
from chrysalis.sandbox.settings import SandboxSettings


def script(sandbox: Sandbox) -> Path:
    """A program that can be run without arguments of its own."""
    path = sandbox.folder / "service-tool"
    path.write_text(
        f'#!/bin/sh\nexport PYTHONPATH="{PROJECT}"\n'
        f'exec "{sys.executable}" -m chrysalis.sandbox.service_tool "{sandbox.folder}" "$@"\n',
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


def main() -> int:
    """Run one command of the profile."""
    folder, *arguments = sys.argv[1:]
    profile = load_profile(SandboxSettings.load_from(Path(folder)).profile)
    return profile.command(Sandbox.attach(Path(folder)), arguments)


if __name__ == "__main__":
    raise SystemExit(main())

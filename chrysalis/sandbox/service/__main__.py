"""Starts one version of the service: FOLDER of the sandbox, SIDE (stable or canary), PORT on 127.0.0.1."""

import sys
from pathlib import Path

import uvicorn

from chrysalis.sandbox.layout import Layout
from chrysalis.sandbox.service.app import create_app
from chrysalis.sandbox.settings import SandboxSettings


def main() -> None:
    """Serve until told to stop."""
    layout, side, port = Layout(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
    app = create_app(layout, side, SandboxSettings.load_from(layout.folder))
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=3600,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()

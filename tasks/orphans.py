"""A flow's process outlives the worker that started it.

What the process says goes through a pipe to its worker. With the worker dead the pipe is broken, and rich, by which
Prefect's log handler prints, ends a process that writes into one. So the next line of the log would end the rollout's
process, and the watch's in the middle of a response. The lines still go to Prefect's server.
"""

import logging

from prefect.logging.handlers import PrefectConsoleHandler


def outlive_worker() -> None:
    """From now on nothing is printed once nobody can read it, and the process goes on. Safe to repeat."""
    known = [logging.getLogger(name) for name in (None, *logging.root.manager.loggerDict)]
    for handler in (handler for logger in known for handler in logger.handlers):
        if isinstance(handler, PrefectConsoleHandler):
            _be_quiet_when_broken(handler)


def _be_quiet_when_broken(handler: PrefectConsoleHandler) -> None:
    def on_broken_pipe() -> None:
        handler.console.quiet = True

    handler.console.on_broken_pipe = on_broken_pipe  # type: ignore[method-assign]

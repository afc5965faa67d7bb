"""The sandbox that these tests share."""

from tests.sandbox.fixtures import running_sandbox, sandbox

__all__ = ["running_sandbox", "sandbox"]

"""The gate that the attacks are tried on, for what shall work."""

from tests.attacks.conftest import gate, home, open_gate

__all__ = ["gate", "home", "open_gate"]

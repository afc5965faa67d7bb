"""Fixtures that several folders of tests share; started only for those that ask for them."""

from tests.stack import stack

__all__ = ["stack"]

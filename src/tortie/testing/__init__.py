"""Policy in the tests of those who write it: assertions in Python, and files of statements under pytest."""

from tortie.testing.policies import Policies

__all__ = ["Policies"]

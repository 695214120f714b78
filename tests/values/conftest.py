"""What these tests share: the conversations of the tests on votes."""

from tests.votes.conftest import camps, real

__all__ = ["camps", "real"]

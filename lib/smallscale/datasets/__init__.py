"""The real data that is already on the machine: digits, a table, the standard library as text and by author."""

from smallscale.datasets.authors import Authors, authors
from smallscale.datasets.digits import Digits, digits

__all__ = ["Authors", "Digits", "authors", "digits"]

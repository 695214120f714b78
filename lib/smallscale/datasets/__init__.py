"""Which real data is already on the machine? Digits, a table, the standard library."""

from smallscale.datasets.authors import Authors, authors
from smallscale.datasets.digits import Digits, digits

__all__ = ["Authors", "Digits", "authors", "digits"]

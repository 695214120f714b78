"""Which real data is already on the machine? Digits, a table, the standard library."""

import sys

from smallscale.core.faces import Face
from smallscale.datasets.authors import Authors, authors
from smallscale.datasets.digits import Digits, digits

__all__ = ["Authors", "Digits", "authors", "digits"]

# `authors` and `digits` are functions here, and modules have these names too.
sys.modules[__name__].__class__ = Face

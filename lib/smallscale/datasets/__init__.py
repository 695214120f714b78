"""Which real data is already on the machine? Digits, a table, the standard library."""

from smallscale.datasets.authors import Authors, authors
from smallscale.datasets.corpus import Corpus, corpus
from smallscale.datasets.digits import Digits, digits

__all__ = ["Authors", "Corpus", "Digits", "authors", "corpus", "digits"]

"""What emerges when people, or language models in their place, meet?

A town on a clock, and models of opinions.
"""

from smallscale.simulation.opinions import (
    bounded_confidence,
    deffuant,
    degroot,
    friedkin_johnsen,
)
from smallscale.simulation.retrieval import retrieval_scores
from smallscale.simulation.town import Town
from smallscale.simulation.world import Person, World

__all__ = [
    "Person",
    "Town",
    "World",
    "bounded_confidence",
    "deffuant",
    "degroot",
    "friedkin_johnsen",
    "retrieval_scores",
]

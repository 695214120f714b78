"""What emerges when people, or language models in their place, meet? A town on a clock, and models of opinions."""

from smallscale.simulation.measures import audit, density, diary, interview, networks, spread
from smallscale.simulation.memory import retrieval_scores
from smallscale.simulation.opinions import bounded_confidence, degroot, friedkin_johnsen
from smallscale.simulation.town import Town
from smallscale.simulation.world import Fact, Person, World

__all__ = [
    "Fact",
    "Person",
    "Town",
    "World",
    "audit",
    "bounded_confidence",
    "degroot",
    "density",
    "diary",
    "friedkin_johnsen",
    "interview",
    "networks",
    "retrieval_scores",
    "spread",
]

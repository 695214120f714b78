"""Which rules can a town live under? How assistants choose, and how readers move."""

from dataclasses import dataclass

from smallscale.core.validation import finite_number, one_of

OBJECTIVES = ("engagement", "truth", "both", "chance")
INTERVENTIONS = ("none", "front page", "bridging", "fact source")
INFLUENCES = ("pull", "bounded", "repulsion", "none")
READERS = ("own", "swapped once", "swapped daily")
HEAT = 1.0  # how much heated words are opened for
HOLD = 0.02  # how strongly people hold on to their first belief


@dataclass(frozen=True)
class Rules:
    """How assistants choose, and how readers move.

    alpha: from 0, all assistants share one taste, to 1, each has its reader's own.
    objective: what is ranked by: the click that the taste foretells (engagement), the
    smallest error that the words foretell (truth), the two added (both), or chance.
    intervention: none; a front page of two places that are the same for all; bridging,
    where what both camps would open ranks higher; or a fact source, which has one
    place.
    influence: readers move towards what they read (pull), only if it is close
    (bounded), away from it if it is not (repulsion), or not at all (none).
    reader: whose assistant picks one's feed: one's own, or another person's, drawn once
    or daily.
    hold: how strongly people hold on to their first belief, in [0, 1], as in the model
    of Friedkin and Johnsen.
    heat: how much heated words are opened for.
    Raises ValueError for anything else.
    """

    alpha: float = 1.0
    objective: str = "engagement"
    intervention: str = "none"
    influence: str = "pull"
    reader: str = "own"
    hold: float = HOLD
    heat: float = HEAT

    def __post_init__(self) -> None:
        alpha = finite_number("alpha", self.alpha, least=0, most=1)
        one_of("objective", self.objective, OBJECTIVES)
        one_of("intervention", self.intervention, INTERVENTIONS)
        one_of("influence", self.influence, INFLUENCES)
        one_of("reader", self.reader, READERS)
        hold = finite_number("hold", self.hold, least=0, most=1)
        heat = finite_number("heat", self.heat)
        for name, number in (("alpha", alpha), ("hold", hold), ("heat", heat)):
            object.__setattr__(self, name, number)  # the rules are frozen

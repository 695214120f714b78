"""The scripted brain's rules, by hand."""

import pytest

from smallscale.simulation import World
from smallscale.simulation.brains import Scripted
from smallscale.simulation.questions import UNPLANNED, Question

WORLD = World()
MAYA = WORLD.names.index("Maya Okoro")


def test_the_scripted_rules_by_hand() -> None:
    def weights(kind: str, *detail: int, who: int = MAYA) -> list[float]:
        return list(Scripted().answer([Question(WORLD, kind, who, detail)])[0])

    assert weights("go", 9, 1, 0) == pytest.approx(
        [0, 0.85, 0.0375, 0.0375, 0.0375, 0.0375]
    )
    assert weights("go", 17, 0, 2) == pytest.approx([0.085, 0, *[0.00375] * 4, 0.9])
    # Maya's waking hours: home at 6, 7 and 20 to 22, work 9 to 17, café 8 and 18,
    # park 19.
    assert weights("go", 9, UNPLANNED, 0) == [5, 9, 2, 1, 0, 0]
    assert weights("talk", 2) == pytest.approx([0.6, 0.4])
    assert weights("talk", 0, who=WORLD.names.index("Bo Lindqvist")) == pytest.approx(
        [0.775, 0.225]
    )  # chatty
    assert weights("say", 0, 0, 1, 5) == pytest.approx([1 + 0.2 * 7, 1])
    assert weights("join", 1, 2) == pytest.approx([0.5, 0.5])
    assert weights("know", 1, 1) == [0, 1]

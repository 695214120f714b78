"""Questions: how they read, and what their options and fallbacks are."""

from smallscale.simulation import World
from smallscale.simulation.questions import UNPLANNED, Question

WORLD = World()
MAYA = WORLD.names.index("Maya Okoro")


def test_a_question_reads_as_it_should() -> None:
    def ask(kind: str, *detail: int) -> Question:
        return Question(WORLD, kind, MAYA, detail)

    go = ask("go", 17, 1, 2)
    assert go.text == (
        "Maya Okoro, librarian, 29, even. It is 17:00. Plan: work. The party is on "
        "now. "
        "A home, B work, C café, D park, E shop, F library, G the party. "
        "Maya Okoro goes to"
    )
    assert (go.fallback, ask("go", 17, UNPLANNED, 0).fallback) == (1, 0)
    assert ask("say", 1, 0, 2, 3).text.endswith(
        "with this in mind. C the party, D the café. Maya Okoro speaks of"
    )
    assert ask("say", 1, 0, 2, 3).letters == "CD"
    assert ask("say", 1, 0, 0, 0).options == ("nothing",)
    assert ask("say", 1, 1, 2, 11).fallback == 2, (
        "where the brain fails there is small talk, not news"
    )
    assert (
        "Hears of the party, given by somebody close. A no, B yes."
        in ask("join", 2, 2).text
    )
    assert "Is asked about the party. Comes to mind: nothing." in ask("know", 2, 0).text
    assert (
        "Stands next to a stranger. A no, B yes. Maya Okoro begins to talk:"
        in ask("talk", 0).text
    )

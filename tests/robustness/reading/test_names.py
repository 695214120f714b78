"""Are names found, and is it seen what may take their place?"""

from smallscale.robustness.reading.english import Vocabulary
from smallscale.robustness.reading.names import Names


def names_of(*texts: str, ordinary: str = "") -> Names:
    return Names([], list(texts), Vocabulary([*texts, ordinary]))


def test_names_leave_out_question_words_months_and_ordinary_openers() -> None:
    names = names_of(ordinary="some bacteria")

    def found(text: str) -> list[str]:
        return [name for _, name, _ in names.find(text)]

    assert found("Which Treaty did Ada Berg sign in May?") == ["Treaty", "Ada Berg"]
    assert found("Bacteria live where?") == []
    assert found("Who led the Bank of England?") == ["Bank of England"]
    assert found("What was Newton's law?") == ["Newton"]
    assert found("In the Alps, who sang?") == ["Alps"]
    assert found("Who was Conan O'Brien?") == ["Conan O'Brien"]


def test_the_frame_of_a_name() -> None:
    text = "Who met Ada in Rome before the Yuan dynasty met the Normans at Bari?"
    names = names_of("She lived in Rome.", "He died in Rome.", text)
    ada, rome, yuan, normans, bari = (names.frame(text, n) for n in names.find(text))
    assert (ada.before, ada.noun, ada.number, ada.kind) == ("", "", "", "")
    assert rome.kind == "place"
    assert (yuan.before, yuan.noun) == ("the", "dynasty")
    assert (normans.before, normans.number) == ("the", "plural")
    assert bari.kind == ""
    pair = "Who left France and Spain?"
    assert [names.frame(pair, n).number for n in names.find(pair)] == ["pair"]


def test_names_for_which_nothing_surely_fits_stay() -> None:
    text = "Who told Newborns or the Dutch about Rome?"
    names = names_of(text)
    can_go = [names.can_go(n, names.frame(text, n)) for n in names.find(text)]
    assert can_go == [False, False, True]


def test_what_may_be_no_name_is_not_put_elsewhere() -> None:
    texts = [
        "Others came to Rome",  # the head of a sentence
        "She met Others there",  # a word in capitals
        "He sailed to St. with her",  # an abbreviation
        "They saw Catholic churches",
        "It was Catholic",  # mostly before a noun
        "They called Athens",  # it may be a plural
    ]
    names = names_of(*texts, ordinary="the others")
    moved = {
        found.name
        for text in texts
        for found in names.find(text)
        if names.can_move(text, found, names.frame(text, found))
        and not names.frame(text, found).noun
    }
    assert moved == {"Rome"}

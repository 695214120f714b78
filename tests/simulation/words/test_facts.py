"""Does the rule hear what an utterance says of a fact?"""

import pytest

from smallscale.simulation.words.facts import (
    CANDIDACY,
    PARTY,
    SLOTS,
    TOWN_FACTS,
    Fact,
    still_says,
)
from smallscale.simulation.world import FACTS, PEOPLE

BOAT = Fact("Hana Sato", "sells her boat", "in the park", "on Friday at nine")


def lost(fact: Fact, text: str, speaker: str = "") -> str:
    """The slots that the rule does not find, one after the other."""
    said = still_says(fact, text, speaker=speaker)
    assert tuple(said) == SLOTS
    return " ".join(slot for slot in SLOTS if not said[slot])


def test_the_facts_are_those_of_the_town() -> None:
    names = [person.name for person in PEOPLE]
    assert TOWN_FACTS.keys() == {fact.name for fact in FACTS}
    for fact in FACTS:
        told = TOWN_FACTS[fact.name]
        assert told.who == fact.source
        assert told.who in names
        assert fact.place in told.where
        assert lost(told, told.sentence()) == ""
        assert lost(told, told.own_sentence(), told.who) == ""
    assert PARTY.sentence() == (
        "Bo Lindqvist gives a party in the café on Tuesday at five."
    )
    assert PARTY.own_sentence() == "I give a party in the café on Tuesday at five."
    assert CANDIDACY.sentence() == "Ines Moreau is standing for mayor."
    assert BOAT.own_sentence() == "I sell my boat in the park on Friday at nine."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bo is throwing a party at the café, Tuesday at 5 pm!", ""),
        ("On Tuesday at five there is a party in the cafe, given by Bo.", ""),
        ("Bo's party is in the café on Tuesday at 17:00.", ""),
        (
            "Ada told me that Bo Lindqvist gives a party in the café on Tuesday at 5.",
            "",
        ),
        ("Bo says he gives a party in the café on Tuesday at five.", ""),
        ("Ada, Bo is having a party in the café on Tuesday at five. Come!", ""),
        ("No, Bo gives a party in the café on Tuesday at five, not on Friday.", ""),
        ("Do not miss Bo's party in the café on Tuesday at five.", ""),
        ("Bo gives a party in the café, not in the park, on Tuesday at five.", ""),
        ("Ada is not there but Bo gives a party in the café on Tuesday at 5.", ""),
        # the person
        ("Ada gives a party in the café on Tuesday at five.", "who"),
        ("Bo told me that Ada gives a party in the café on Tuesday at five.", "who"),
        ("Bo told me that there is a party in the café on Tuesday at five.", "who"),
        ("Sarah gives a party in the café on Tuesday at five.", "who"),
        ("Bo Haddad gives a party in the café on Tuesday at five.", "who"),
        ("Lindqvist gives a party in the café on Tuesday at five.", "who"),
        ("Al Bo Lindqvist gives a party in the café on Tuesday at five.", "who"),
        ("Moreau gives a party in the café on Tuesday at five.", "who"),
        ("There is a party in the café on Tuesday at five.", "who"),
        ("I give a party in the café on Tuesday at five.", "who"),
        ("It is not Bo but Ada who gives a party in the café on Tuesday at 5", "who"),
        ("Remember: Bo gives a party in the Café on Tuesday at five.", ""),
        # the event
        ("Bo gives a concert in the café on Tuesday at five.", "what"),
        ("Bo does not give a party in the café on Tuesday at five.", "what"),
        ("Bo isn't giving a party in the café on Tuesday at five.", "what"),
        ("There is no party of Bo's in the café on Tuesday at five.", "what"),
        ("Bo's party in the café on Tuesday at five is cancelled.", "what"),
        # the place
        ("Bo gives a party in the park on Tuesday at five.", "where"),
        ("Bo gives a party on Tuesday at five.", "where"),
        ("Bo gives a party not in the café, on Tuesday at five.", "where"),
        ("Bo gives a party in the café and the park on Tuesday at five.", "where"),
        # the time
        ("Bo gives a party in the café on Wednesday at five.", "when"),
        ("Bo gives a party in the café on Tuesday at six.", "when"),
        ("Bo gives a party in the café on Tuesday at half past five.", "when"),
        ("Bo gives a party in the café on Tuesday.", "when"),
        ("Bo gives a party in the café for five people on Tuesday.", "when"),
        ("Bo gives a party in the café, but not on Tuesday, at five.", "when"),
        ("Bo gives a party in the café on Monday or Tuesday at five.", "when"),
        ("", "who what where when"),
        ("The weather is fine.", "who what where when"),
    ],
)
def test_the_party_by_hand(text: str, expected: str) -> None:
    assert lost(PARTY, text) == expected


@pytest.mark.parametrize(
    ("text", "speaker", "expected"),
    [
        ("I give a party.", "Bo Lindqvist", "where when"),
        ("I give a party.", "Ada Brandt", "who where when"),
        ("My party is in the café.", "Bo Lindqvist", "when"),
        ("I heard that Bo gives a party.", "Ada Brandt", "where when"),
        ("I have heard there is a party.", "Bo Lindqvist", "who where when"),
        ("Ada says that I give a party.", "Bo Lindqvist", "where when"),
        ("Bo gives a party and I will come.", "Ada Brandt", "where when"),
    ],
)
def test_i_is_the_speaker(text: str, speaker: str, expected: str) -> None:
    assert lost(PARTY, text, speaker) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hana sold her boat in the park on Friday at nine.", ""),
        ("Hana Sato is selling a boat on Friday at 9 o'clock in the park.", ""),
        ("Hana buys her boat in the park on Friday at nine.", "what"),
        ("There is a boat of Hana's in the park on Friday at nine.", "what"),
    ],
)
def test_a_thing_that_is_done_needs_its_verb(text: str, expected: str) -> None:
    assert lost(BOAT, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ines is running for mayor.", ""),
        ("Have you heard? Ines is a candidate for mayor!", ""),
        ("Ines met the mayor.", "what"),
        ("Ines is not standing for mayor.", "what"),
        ("Paul Moreau is standing for mayor.", "who"),
        ("I am standing for mayor.", "who"),
    ],
)
def test_the_candidacy_has_neither_place_nor_time(text: str, expected: str) -> None:
    assert lost(CANDIDACY, text) == expected


@pytest.mark.parametrize("verb", ["bakes", "baked", "is baking", "makes"])
def test_bread_is_baked_in_every_tense(verb: str) -> None:
    fact = Fact("Hana Sato", "bakes bread", "in the park", "on Friday at nine")
    assert lost(fact, f"Hana {verb} bread in the park on Friday at nine.") == ""


def test_who_is_called_park_is_no_park() -> None:
    fact = Fact("Jun Park", "reads from a diary", "in the library", "on Sunday at one")
    assert lost(fact, "Jun Park reads a diary in the library on Sunday at one.") == ""
    assert lost(fact, "Jun reads a diary in the park on Sunday at one.") == "where"
    assert lost(fact, "Sami Park reads a diary in the library on Sunday at 1.") == "who"

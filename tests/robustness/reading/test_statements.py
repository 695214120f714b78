"""Does a question become the sentence that a person would write?"""

import pytest

from smallscale.robustness.reading.dataset import all_text
from smallscale.robustness.reading.english import Vocabulary
from smallscale.robustness.reading.statements import as_statement
from smallscale.robustness.reading.synthetic_squad import RELATIONS, passages

WORDS = Vocabulary(
    [
        "He studies, studied, studying. They refused, refusing; it stands. "
        "She invented, inventing. started starting"
    ]
)


@pytest.mark.parametrize(
    ("question", "statement"),
    [
        ("Who founded Rome?", "X founded Rome."),
        ("Who was the founder of Rome?", "The founder of Rome was X."),
        ("By whom was Rome founded?", "Rome was founded by X."),
        ("What is the capital of France?", "The capital of France is X."),
        ("What was used to build it?", "X was used to build it."),
        ("What is Rome known for?", "Rome is known for X."),
        ("When was Ada born?", "Ada was born in X."),
        ("In what year was Ada born?", "Ada was born in X."),
        ("When did the war start?", "The war started in X."),
        (
            "Where did the Norse king win the battle?",
            "The Norse king won the battle in X.",
        ),
        ("Which country refused the treaty?", "X refused the treaty."),
        ("On what river does Warsaw stand?", "Warsaw stands on X."),
        ("How many children did Ada have?", "Ada had X children."),
        ("How many people live in Rome?", "X people live in Rome."),
        ("What did Ada study?", "Ada studied X."),
        ("What can be found there?", "X can be found there."),
        ("The Council is made up of what?", "The Council is made up of X."),
        ("In 1897, what did Ada invent?", "In 1897, Ada invented X."),
        ("Why was the bill shelved?", "The bill was shelved because of X."),
        ("What has the king lost?", "The king has lost X."),
        ("Where was the tower first seen?", "The tower was first seen in X."),
        ("What did the king refer to?", "The king referred to X."),
        ("What did Ada manage to find?", "Ada managed to find X."),
        ("What did Ada use to find the way?", "Ada used X to find the way."),
        ("What did the king shut down?", "The king shut down X."),
        ("What cities had old mayors?", "X had old mayors."),
        (
            "What is the name of the ship that sank?",
            "The name of the ship that sank is X.",
        ),
        ("What profession did Ada have?", "Ada had the profession of X."),
        ("When did Rome burn down?", "Rome burned down in X."),
    ],
)
def test_rules(question: str, statement: str) -> None:
    found = as_statement(question, WORDS)
    assert found is not None
    assert found.plain("X") == statement


@pytest.mark.parametrize(
    "question",
    [
        "",
        "?",
        "Rome",
        "Is Rome old?",
        "What",
        "Yes or no?",
        "How did Ada travel?",
        "Whose army took Rome?",
        "Who is the most dependent on oil?",
        "What is Rome unlikely to accomplish?",
        "What does Ada believe is true?",
        "Who was Ada afraid of?",
        "What happened in Rome?",
        "Why?",
        "What did Ada do?",
        "What did Ada say about it, and why?",
        "How many times less is it?",
        "Where did Ada move?",  # to a place, not in it
        "What did Ada think the king was?",
        "Rome is what?",  # it may be asked how it is
        "What fixed set of factors determine it?",
        "Which country's imports rose?",
        "What are the result of it?",  # the question's verb does not agree
        "The rate (in percent) is what?",
        "When was the first known king?",
        "When did Ada renounce violence?",
        "What do the membership reflect?",
        # A question that denies: its statement would say the contrary.
        "What did Ada not study?",
        "What city didn't Ada visit?",
        "What country hasn’t joined the union?",
        "What country hasn't joined the union?",
        "What city has Ada never visited?",
        "Who never founded a town?",
        "When was the law no longer used?",
        "What did nobody study?",
        "What was built without a plan?",
        "In which town was hardly a house left?",
    ],
)
def test_what_no_rule_fits(question: str) -> None:
    assert as_statement(question, WORDS) is None


def test_the_verb_wants_its_subject_in_the_right_number() -> None:
    asks_one = as_statement("Which tribe was taken in Rome?", WORDS)
    asks_many = as_statement("Which tribes were taken in Rome?", WORDS)
    assert asks_one is not None
    assert asks_many is not None
    assert asks_one.suits("the tribe")
    assert not asks_one.suits("the Huguenots")
    assert asks_many.suits("the Huguenots")
    assert not asks_many.suits("a baker")
    assert not asks_many.suits("Wales")
    for statement in (asks_one, asks_many):
        assert not statement.suits("")
        assert not statement.suits("taken")  # a word that is there already


def test_a_day_is_on_and_a_year_in() -> None:
    found = as_statement("When was Ada born?", WORDS)
    assert found is not None
    assert found.plain("May 5, 1893") == "Ada was born on May 5, 1893."
    waits = as_statement("What year did Ada die in?", WORDS)
    assert waits is not None
    assert waits.plain("1893") == "Ada died in 1893."
    assert not waits.suits("May 5, 1893")


def test_the_cleft_of_what_somebody_is_and_of_what_is_counted() -> None:
    teacher = as_statement("Who was the teacher of Ada?", WORDS)
    men = as_statement("How many men did Ada sail with?", WORDS)
    assert teacher is not None
    assert men is not None
    assert teacher.cleft("Otto") == "It was Otto that was the teacher of Ada."
    assert men.cleft("79") == "It was 79 men that Ada sailed with."


def test_cleft_and_a_preposition_that_the_answer_brings_itself() -> None:
    found = as_statement("Where was Ada born?", WORDS)
    assert found is not None
    assert found.cleft("Tarby") == "It was in Tarby that Ada was born."
    assert found.plain("near Tarby") == "Ada was born near Tarby."


def test_every_question_of_the_made_up_world_can_be_turned() -> None:
    words = Vocabulary(all_text(passages(60, seed=0)))
    subjects = {"person": "Ada Berg", "town": "Tarby", "ship": "the Tarby Pearl"}
    for kind, relations in RELATIONS.items():
        for relation in relations:
            for ask in relation.questions:
                found = as_statement(ask.format(s=subjects[kind]), words)
                assert found is not None, ask
                assert subjects[kind].removeprefix("the ") in found.plain("X")
                assert (
                    "X" in found.plain("X").split() or "X." in found.plain("X").split()
                )

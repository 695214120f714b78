"""Does a question become the sentence that a person would write?"""

import pytest

from smallscale.robustness.reading.dataset import all_text
from smallscale.robustness.reading.english import Verbs
from smallscale.robustness.reading.statements import as_statement
from smallscale.robustness.reading.synthetic_squad import RELATIONS, passages

VERBS = Verbs(
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
    ],
)
def test_rules(question: str, statement: str) -> None:
    found = as_statement(question, VERBS)
    assert found is not None
    assert found.plain("X") == statement


@pytest.mark.parametrize(
    "question", ["", "?", "Rome", "Is Rome old?", "What", "Yes or no?"]
)
def test_what_no_rule_fits(question: str) -> None:
    assert as_statement(question, VERBS) is None


def test_cleft_and_a_preposition_that_the_answer_brings_itself() -> None:
    found = as_statement("Where was Ada born?", VERBS)
    assert found is not None
    assert found.cleft("Tarby") == "It was in Tarby that Ada was born."
    assert found.plain("near Tarby") == "Ada was born near Tarby."


def test_every_question_of_the_made_up_world_can_be_turned() -> None:
    verbs = Verbs(all_text(passages(60, seed=0)))
    subjects = {"person": "Ada Berg", "town": "Tarby", "ship": "the Tarby Pearl"}
    for kind, relations in RELATIONS.items():
        for relation in relations:
            for ask in relation.questions:
                found = as_statement(ask.format(s=subjects[kind]), verbs)
                assert found is not None, ask
                assert subjects[kind].removeprefix("the ") in found.plain("X")
                assert (
                    "X" in found.plain("X").split() or "X." in found.plain("X").split()
                )

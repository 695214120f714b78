"""Does the control state the same fact of somebody else, in other words?"""

from smallscale.robustness import add_sentences
from smallscale.robustness.reading.addsent import original_id
from smallscale.robustness.reading.dataset import asked, check_dataset, gold_texts
from smallscale.robustness.reading.matches import word_overlap
from smallscale.robustness.reading.paraphrases import (
    _relation_of,
    paraphrased_sentences,
)
from smallscale.robustness.reading.synthetic_squad import RELATIONS, passages

MADE = passages(30, seed=3)


def added(dataset: dict) -> dict[str, str]:
    """Return the added sentence by the original question's id."""
    before = {qa["id"]: context for context, qa in asked(MADE)}
    return {
        original_id(qa["id"]): context.removeprefix(before[original_id(qa["id"])])
        for context, qa in asked(dataset)
    }


def test_every_question_gets_a_sound_sentence_about_another() -> None:
    attacked = paraphrased_sentences(MADE, seed=0)
    check_dataset(attacked)
    assert attacked["skipped"] == []
    assert attacked == paraphrased_sentences(MADE, seed=0)
    sentences = added(attacked)
    for _, qa in asked(MADE):
        assert sentences[qa["id"]].endswith(".")
        assert gold_texts(qa)[0] not in sentences[qa["id"]]


def test_it_shares_fewer_words_with_the_question_than_the_attack() -> None:
    theirs = added(paraphrased_sentences(MADE, seed=0))
    attack = added(add_sentences(MADE, seed=0, candidates=1))
    told = {qa["id"]: qa["question"] for _, qa in asked(MADE)}
    shared = [
        sum(word_overlap(told[id_], sentences[id_]) for id_ in attack)
        for sentences in (theirs, attack)
    ]
    assert shared[0] < 0.5 * shared[1]


def test_each_question_template_leads_to_its_own_relation() -> None:
    for kind, relations in RELATIONS.items():
        for relation in relations:
            for template in relation.questions:
                found = _relation_of(template.format(s="Ada Berg"))
                assert found == (kind, relation, template)


def test_questions_of_another_world_are_skipped() -> None:
    place = {"text": "Rome", "answer_start": 0}
    qa = {"id": "q", "question": "Why is Rome?", "answers": [place]}
    foreign = {"data": [{"paragraphs": [{"context": "Rome is.", "qas": [qa]}]}]}
    assert paraphrased_sentences(foreign, seed=0)["skipped"] == ["q"]

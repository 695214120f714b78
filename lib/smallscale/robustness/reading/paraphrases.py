"""Is it the question's own words that mislead, or any second fact of the same kind?

The control for AddSent in the made-up world: the sentence states the fact that is asked
for, of somebody else, as AddSent's does, but in the world's other words for it.
"""

import re

import numpy as np

from smallscale.robustness.reading.addsent import (
    Asked,
    is_free_of_answers,
    question_by_question,
    with_sentence,
)
from smallscale.robustness.reading.dataset import Dataset, Paragraph, check_structure
from smallscale.robustness.reading.matches import word_overlap
from smallscale.robustness.reading.synthetic_squad import (
    RELATIONS,
    SUBJECT_KINDS,
    Relation,
    thing,
)

SUBJECT = "{s}"


def paraphrased_sentences(dataset: Dataset, *, seed: int) -> Dataset:
    """Return made-up passages under attack in other words than the question's.

    Each question gets a sentence at the end that states the same kind of fact about
    another subject, with another answer, in that wording of `world.json` that shares
    the fewest words with the question. Ids become "<id>-adv0". Questions that are not
    the made-up world's own are left out, their ids under "skipped".
    """
    check_structure(dataset)

    def attacked(question: Asked, rng: np.random.Generator) -> list[Paragraph]:
        known = _relation_of(question.qa["question"])
        if known is None:
            return []
        kind, relation, template = known
        statement = _most_unlike(relation, template)
        while True:
            subject = thing(kind, rng, held_out=True)
            answer = thing(relation.answer_kind, rng, held_out=True)
            sentence = statement.format(s=subject, a=answer)
            sentence = sentence[0].upper() + sentence[1:]
            is_of_another = subject not in question.context
            if is_of_another and is_free_of_answers(sentence, question.qa):
                return [with_sentence(question, 0, sentence, "end")]

    return question_by_question(dataset, attacked, seed)


def _relation_of(question: str) -> tuple[str, Relation, str] | None:
    """Return the kind of subject, the relation and the template of a question."""
    for kind in SUBJECT_KINDS:
        for relation in RELATIONS[kind]:
            for template in relation.questions:
                before, after = map(re.escape, template.split(SUBJECT))
                if re.fullmatch(f"{before}.+{after}", question):
                    return kind, relation, template
    return None


def _most_unlike(relation: Relation, template: str) -> str:
    """Return the relation's statement with the fewest words of a question's template.

    The first of those that share equally few.
    """
    asked_words = template.replace(SUBJECT, "")
    return min(relation.statements, key=lambda told: word_overlap(asked_words, told))

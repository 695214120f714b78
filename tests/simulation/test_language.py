"""A language model as a brain: its weights are its probabilities, and it can learn."""

import numpy as np
import pytest
import torch

from smallscale.simulation import Town, World
from smallscale.simulation.language import (
    LanguageBrain,
    diary_lines,
    disagreement,
    experience,
    train_diarist,
    untrained_diarist,
    word_tokenizer,
)
from smallscale.simulation.questions import Question

WORLD = World()


@pytest.fixture(scope="module")
def asked() -> list[tuple[Question, np.ndarray]]:
    return experience([Town(seed=1).run(24)])


@pytest.fixture(scope="module")
def brain(asked: list[tuple[Question, np.ndarray]]) -> LanguageBrain:
    tokenizer = word_tokenizer(diary_lines(asked, 1))
    return LanguageBrain(untrained_diarist(tokenizer), tokenizer, batch_size=7)


def test_weights_are_the_probabilities_of_the_letters_offered(
    brain: LanguageBrain, asked: list
) -> None:
    questions = [question for question, _ in asked[:20]]
    for question, weights in zip(questions, brain.answer(questions), strict=True):
        ids = torch.tensor([brain.tokenizer(question.text).input_ids])
        with torch.no_grad():
            logits = brain.model(ids).logits[0, -1]
        vocabulary = brain.tokenizer.get_vocab()
        expected = logits[[vocabulary[letter] for letter in question.letters]].softmax(
            0
        )
        assert weights == pytest.approx(expected.tolist(), abs=1e-5)
        assert sum(weights) == pytest.approx(1)


def test_batches_do_not_matter(brain: LanguageBrain, asked: list) -> None:
    questions = [question for question, _ in asked[:40]]
    together = brain.answer(questions)
    alone = [brain.answer([question])[0] for question in questions]
    for a, b in zip(together, alone, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    assert brain.answer([]) == []


def test_a_line_ends_in_the_letter_of_an_option_drawn_by_its_weight() -> None:
    question = Question(WORLD, "say", 0, (0, 0, 2, 5))
    lines = diary_lines([(question, np.array([3.0, 1.0]))], 400)
    ends = [line.removeprefix(question.text) for line in lines]
    assert set(ends) == {" C", " F"}
    assert ends.count(" C") / 400 == pytest.approx(0.75, abs=0.1)
    assert lines == diary_lines([(question, np.array([3.0, 1.0]))], 400)


def test_experience_holds_each_text_once_with_its_weights() -> None:
    towns = [Town(seed=seed).run(20) for seed in (1, 1, 2)]
    found = experience(towns)
    texts = [question.text for question, _ in found]
    assert len(set(texts)) == len(texts) > towns[0].answers.counts["asked"]
    assert all(len(weights) == len(question.options) for question, weights in found)


def test_training_learns_repeats_itself_and_touches_no_global_state(
    asked: list,
) -> None:
    lines = diary_lines(asked, 2)
    tokenizer = word_tokenizer(lines)
    state = torch.get_rng_state()
    runs = []
    for _ in range(2):
        model = untrained_diarist(tokenizer, width=32)
        before = disagreement(LanguageBrain(model, tokenizer), asked).mean()
        losses = train_diarist(model, tokenizer, lines * 3)
        assert not model.training
        after = disagreement(LanguageBrain(model, tokenizer), asked).mean()
        runs.append({"losses": losses, "before": before, "after": after})
    assert runs[0] == runs[1]
    assert torch.equal(torch.get_rng_state(), state)
    assert np.mean(losses[-5:]) < 0.6 * losses[0]
    assert after < 0.95 * before


def test_disagreement_by_hand() -> None:
    class Says:
        def answer(self, questions: list[Question]) -> list[list[float]]:
            return [[2.0, 2.0], [0.0, 1.0]]

    asked = [
        (Question(WORLD, "talk", 0, (0,)), np.array([0.8, 0.2])),
        (Question(WORLD, "talk", 0, (1,)), np.array([1.0, 0])),
    ]
    assert disagreement(Says(), asked).tolist() == pytest.approx([0.3, 1.0])


def test_a_town_lives_by_the_model(brain: LanguageBrain) -> None:
    town = Town(seed=3, brain=brain).run(24)
    assert town.faults == {}
    assert town.digest() == Town(seed=3, brain=brain).run(24).digest()


def test_a_tokenizer_without_letters_of_its_own_says_so() -> None:
    tokenizer = word_tokenizer(["nothing here"])
    tokenizer_without = type(tokenizer)(
        tokenizer_object=tokenizer.backend_tokenizer, unk_token="<unk>"
    )
    merged = {"A": 0, "B": 0}

    class Merging:
        def __call__(self, text: str, **rest: object) -> object:
            ids = tokenizer_without(text, **rest)
            ids["input_ids"] = [merged.get(text.strip(), i) for i in ids["input_ids"]]
            return ids

    with pytest.raises(
        ValueError,
        match="tokenizer must have a token of its own for each capital letter",
    ):
        LanguageBrain(untrained_diarist(tokenizer), Merging())

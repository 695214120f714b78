"""A language model as a brain: its weights are its probabilities, and it can learn."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers, processors
from torch.nn.utils import prune
from transformers import AutoModelForCausalLM, AutoTokenizer

from smallscale.simulation import Town, World
from smallscale.simulation.brains import Fault
from smallscale.simulation.language import (
    DiaryEntry,
    LanguageBrain,
    diary_entries,
    disagreement,
    experience,
    model_hash,
    train_diarist,
    untrained_diarist,
    word_tokenizer,
)
from smallscale.simulation.questions import Question
from tests.fake_device import fake_device

WORLD = World()


@pytest.fixture(scope="module")
def asked() -> list[tuple[Question, np.ndarray]]:
    return experience([Town(seed=1).run(24)])


@pytest.fixture(scope="module")
def brain(asked: list[tuple[Question, np.ndarray]]) -> LanguageBrain:
    tokenizer = word_tokenizer([question.text for question, _ in asked])
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


def test_an_entry_counts_what_people_drew_by_the_weights() -> None:
    question = Question(WORLD, "say", 0, (0, 0, 2, 5))
    asked = [(question, np.array([3.0, 1.0]))]
    (entry,) = diary_entries(asked, 400)
    assert entry.text == question.text
    assert entry.letters == "CF"
    assert sum(entry.times) == 400
    assert entry.times[0] / 400 == pytest.approx(0.75, abs=0.1)
    assert diary_entries(asked, 400) == [entry]
    assert diary_entries(asked, 400, seed=1) != [entry]


def test_only_the_letters_offered_are_learnt_and_towards_what_people_did() -> None:
    question = Question(WORLD, "say", 0, (0, 0, 2, 5))
    tokenizer = word_tokenizer([question.text])
    model = untrained_diarist(tokenizer, width=16)
    entry = DiaryEntry(question.text, question.letters, (9, 1))
    losses = train_diarist(model, tokenizer, [entry], epochs=60, lr=1e-2)
    (weights,) = LanguageBrain(model, tokenizer).answer([question])
    assert weights == pytest.approx([0.9, 0.1], abs=0.02)
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert losses[-1] == pytest.approx(entropy, abs=0.01)
    assert losses[0] == pytest.approx(np.log(2), abs=0.05), "of two, not of all words"


def test_experience_holds_each_text_once_with_its_weights() -> None:
    towns = [Town(seed=seed).run(20) for seed in (1, 1, 2)]
    found = experience(towns)
    texts = [question.text for question, _ in found]
    assert len(set(texts)) == len(texts) > towns[0].answers.counts["asked"]
    assert all(len(weights) == len(question.options) for question, weights in found)


def test_training_learns_repeats_itself_and_touches_no_global_state(
    asked: list,
) -> None:
    entries = diary_entries(asked, 40)
    tokenizer = word_tokenizer([entry.text for entry in entries])
    state = torch.get_rng_state()
    runs = []
    for _ in range(2):
        model = untrained_diarist(tokenizer, width=32)
        before = disagreement(LanguageBrain(model, tokenizer), asked).mean()
        losses = train_diarist(model, tokenizer, entries, epochs=4)
        assert not model.training
        after = disagreement(LanguageBrain(model, tokenizer), asked).mean()
        runs.append({"losses": losses, "before": before, "after": after})
    assert runs[0] == runs[1]
    assert torch.equal(torch.get_rng_state(), state)
    assert np.mean(losses[-5:]) < 0.75 * losses[0]
    assert after < 0.6 * before


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


def read_again(brain: LanguageBrain, folder: Path) -> LanguageBrain:
    """The same model and tokenizer, saved and loaded."""
    brain.model.save_pretrained(folder)
    brain.tokenizer.save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    return LanguageBrain(model, AutoTokenizer.from_pretrained(folder))


def test_a_copy_of_a_model_is_the_same_model(
    brain: LanguageBrain, tmp_path: Path
) -> None:
    copy = LanguageBrain(deepcopy(brain.model), deepcopy(brain.tokenizer), batch_size=3)
    assert copy.identity == brain.identity
    assert read_again(brain, tmp_path / "model").identity == brain.identity
    copy.tokenizer(["A", "A B"], padding=True, truncation=True, max_length=2)
    copy.tokenizer.padding_side = "left"
    assert copy.identity == brain.identity
    town = Town(3, seed=1, brain=brain).run(9)
    town.save(tmp_path / "town")
    resumed = Town.load(tmp_path / "town", brain=copy).run(9)
    assert resumed.step == 18
    assert town.digest() == Town.load(tmp_path / "town", brain=copy).digest()


@torch.no_grad()
def one_weight(copy: LanguageBrain) -> None:
    last = list(copy.model.parameters())[-1]
    last.view(-1)[0] += 1e-6


def a_weight_behind_the_back_of_autograd(copy: LanguageBrain) -> None:
    copy.model.model.norm.weight.data[3] = 0.5


def another_type(copy: LanguageBrain) -> None:
    copy.model.to(torch.bfloat16)


def a_buffer_that_is_not_saved(copy: LanguageBrain) -> None:
    copy.model.model.rotary_emb.inv_freq.mul_(2)


def a_setting(copy: LanguageBrain) -> None:
    copy.model.config.rms_norm_eps = 0.1


def pruning(copy: LanguageBrain) -> None:
    prune.l1_unstructured(copy.model.model.layers[0].mlp.up_proj, "weight", 0.5)


def another_word(copy: LanguageBrain) -> None:
    copy.tokenizer.add_tokens(["café"])


def another_split(copy: LanguageBrain) -> None:
    split = pre_tokenizers.WhitespaceSplit()
    copy.tokenizer.backend_tokenizer.pre_tokenizer = split


def another_name(copy: LanguageBrain) -> None:
    copy.name = "somebody"


@pytest.mark.parametrize(
    "change",
    [
        one_weight,
        a_weight_behind_the_back_of_autograd,
        another_type,
        a_buffer_that_is_not_saved,
        a_setting,
        pruning,
        another_word,
        another_split,
        another_name,
    ],
)
def test_another_model_is_refused_in_a_line(
    brain: LanguageBrain, change: Callable[[LanguageBrain], None], tmp_path: Path
) -> None:
    other = LanguageBrain(deepcopy(brain.model), deepcopy(brain.tokenizer))
    town = Town(2, seed=1, brain=other).run(3)
    same = town.digest()
    town.save(tmp_path / "town")
    assert Town.load(tmp_path / "town", brain=brain).digest() == same
    change(other)
    assert other.identity != brain.identity
    assert town.digest() != same
    ran = "was run by the brain 'language model [0-9a-f]{16}', not '"
    with pytest.raises(ValueError, match=ran) as caught:
        Town.load(tmp_path / "town", brain=other)
    assert "\n" not in str(caught.value)


def test_training_makes_another_model(asked: list, tmp_path: Path) -> None:
    entries = diary_entries(asked, 1)
    tokenizer = word_tokenizer([entry.text for entry in entries])
    learner = LanguageBrain(untrained_diarist(tokenizer, width=16), tokenizer)
    Town(2, brain=learner).run(2).save(tmp_path / "town")
    train_diarist(learner.model, tokenizer, entries)
    with pytest.raises(ValueError, match="give a brain that is the same"):
        Town.load(tmp_path / "town", brain=learner)


def test_models_and_tokenizers_of_any_kind_have_an_identity() -> None:
    class Words:
        def get_vocab(self) -> dict[str, int]:
            return {"A": 1}

    class Bare(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("flags", torch.tensor([True, False]))
            self.register_buffer("one", torch.tensor(3))
            self.register_buffer("none", torch.zeros(0, 2))
            self.halves = torch.nn.Parameter(torch.ones(2, dtype=torch.float16))

    hashes = [model_hash(Bare(), tokenizer) for tokenizer in (Words(), None, Words())]
    assert hashes[0] == hashes[2] != hashes[1]


@pytest.mark.parametrize(
    ("reply", "fault"), [(Fault("late"), "late: 2"), (None, "not numbers: 2")]
)
def test_there_is_no_disagreement_with_what_was_not_answered(
    reply: object, fault: str
) -> None:
    class Failing:
        name = "failing"

        def answer(self, questions: list[Question]) -> list[object]:
            return [reply] * len(questions)

    question = Question(WORLD, "talk", 0, (0,))
    asked = [(question, np.array([0.8, 0.2]))] * 2
    with pytest.raises(ValueError, match=f"answer all 2 questions; faults: {fault}"):
        disagreement(Failing(), asked)


def test_a_model_is_taught_where_it_is() -> None:
    lines = ["A no, B yes. Ada goes to", "A no, B yes. Bo goes"]
    entries = [DiaryEntry(lines[0], "AB", (3, 1)), DiaryEntry(lines[1], "AB", (1, 3))]
    tokenizer = word_tokenizer(lines)
    expected = train_diarist(untrained_diarist(tokenizer), tokenizer, entries, epochs=3)
    with fake_device() as device:
        model = untrained_diarist(tokenizer).to(device)
        found = train_diarist(model, tokenizer, entries, epochs=3)
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_question_is_not_ended_where_the_tokenizer_ends_texts(asked: list) -> None:
    """A letter is looked for after the question, and not after an end of text."""
    questions = [question for question, _ in asked[:5]]
    plain = word_tokenizer([question.text for question, _ in asked])
    ending = deepcopy(plain)
    ending.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <pad>", special_tokens=[("<pad>", 0)]
    )
    assert ending(questions[0].text).input_ids[-1] == 0
    model = untrained_diarist(plain)
    expected = LanguageBrain(model, plain).answer(questions)
    assert LanguageBrain(model, ending).answer(questions) == expected
    entries = diary_entries(asked[:5], 40)
    losses = train_diarist(deepcopy(model), plain, entries)
    assert train_diarist(deepcopy(model), ending, entries) == losses


def test_a_diary_is_learnt_in_single_precision(asked: list) -> None:
    """In bfloat16 a step of 1e-4 rounds away, and little would be learnt."""
    tokenizer = word_tokenizer([question.text for question, _ in asked])
    entries = diary_entries(asked[:20], 40)
    model = untrained_diarist(tokenizer).bfloat16()
    rounded = [each.detach().float().clone() for each in model.parameters()]
    train_diarist(model, tokenizer, entries, epochs=5, lr=1e-4)
    for before, after in zip(rounded, model.parameters(), strict=True):
        assert after.dtype == torch.float32
        assert not torch.equal(before, after.detach())

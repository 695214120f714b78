"""Is an option's likelihood that of its tokens, one by one, in the whole text?"""

from typing import Any

import pytest
import torch

from smallscale.models import LanguageModel, choose, option_logps

PROMPTS = ["Say: hello", "What shall I do? assistant:", "def f("]
OPTIONS = [" there", " rest, or ask a friend", "x)", " no"]


def by_hand(tiny: LanguageModel, prompt: str, option: str) -> tuple[float, int]:
    """The sum over the option's tokens, and how many they are."""
    before = tiny.tokenizer.encode(prompt)
    ids = tiny.tokenizer.encode(prompt + option)
    assert ids[: len(before)] == before  # these prompts end where a token ends
    with torch.no_grad():
        logps = tiny.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(1)
    places = range(len(before), len(ids))
    return sum(logps[i - 1, ids[i]].item() for i in places), len(places)


def test_each_options_likelihood_is_that_of_its_tokens(tiny: LanguageModel) -> None:
    expected = [[by_hand(tiny, p, option) for option in OPTIONS] for p in PROMPTS]
    sums = torch.tensor([[total for total, _ in row] for row in expected])
    tokens = torch.tensor([[count for _, count in row] for row in expected])
    letters = torch.tensor([[len(option.encode()) for option in OPTIONS]])
    found = option_logps(*tiny, PROMPTS, OPTIONS)
    assert found.dtype == torch.double
    torch.testing.assert_close(found, sums.double(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        option_logps(*tiny, PROMPTS, OPTIONS, normalize="tokens"), found / tokens
    )
    torch.testing.assert_close(
        option_logps(*tiny, PROMPTS, OPTIONS, normalize="bytes"), found / letters
    )


def test_options_may_differ_from_prompt_to_prompt(tiny: LanguageModel) -> None:
    table = [OPTIONS[:2], OPTIONS[2:], OPTIONS[1:3]]
    found = option_logps(*tiny, PROMPTS, table)
    every = option_logps(*tiny, PROMPTS, OPTIONS)
    expected = torch.stack([every[0, :2], every[1, 2:], every[2, 1:3]])
    torch.testing.assert_close(found, expected)


def test_more_options_than_fit_side_by_side(tiny: LanguageModel) -> None:
    options = [f" {i} friends" for i in range(150)]
    found = option_logps(*tiny, PROMPTS[:1], options)
    singles = [option_logps(*tiny, PROMPTS[:1], [option]) for option in options[::37]]
    torch.testing.assert_close(found[:, ::37], torch.cat(singles, 1))


def test_all_one_letter_options_of_a_bit_sum_to_less_than_one(
    tiny: LanguageModel,
) -> None:
    vocabulary = tiny.tokenizer.get_vocab()
    letters = [word for word in vocabulary if len(word) == 1 and word.isascii()]
    found = option_logps(*tiny, ["Say:"], letters).exp().sum()
    assert 0 < found < 1


def test_a_word_that_joins_the_prompt_is_scored_as_the_text_has_it(
    tiny: LanguageModel,
) -> None:
    # "hel" + "lo" is the token "hello" of the whole text, which begins in the prompt.
    joined = option_logps(*tiny, ["Say: hel"], ["lo"])
    apart = option_logps(*tiny, ["Say:"], [" hello"])
    torch.testing.assert_close(joined, apart)


def test_calibration_takes_out_what_the_model_says_to_anything(
    tiny: LanguageModel,
) -> None:
    plain = choose(*tiny, PROMPTS, OPTIONS)
    logps = option_logps(*tiny, PROMPTS, OPTIONS)
    assert torch.equal(plain.best, logps.argmax(1))
    torch.testing.assert_close(plain.probabilities, logps.softmax(1))
    calibrated = choose(*tiny, PROMPTS, OPTIONS, content_free=PROMPTS[1])
    bias = logps[1:2]
    torch.testing.assert_close(calibrated.probabilities, (logps - bias).softmax(1))
    # To the content-free prompt itself every option is then as likely.
    torch.testing.assert_close(
        calibrated.probabilities[1], torch.full((4,), 0.25, dtype=torch.double)
    )


@pytest.mark.parametrize(
    ("prompts", "options", "said"),
    [
        ("Say", [" a"], "list of strings"),
        (["Say"], [" a", ""], "must not be empty"),
        (["Say"], [[]], "must not be empty"),
        (["Say", "Do"], [[" a", " b"], [" a"]], r"\[1, 2\] options"),
        (["Say", "Do"], [[" a", " b"]], "1 lists"),
        (["Say" * 300], [" a"], "longer than the 256"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    tiny: LanguageModel, prompts: Any, options: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        option_logps(*tiny, prompts, options)
    with pytest.raises(ValueError, match="normalize"):
        option_logps(*tiny, ["Say"], [" a"], normalize="letters")


def test_the_real_model_knows_opposites(smollm2: LanguageModel) -> None:
    pairs = [("hot", "cold"), ("big", "small"), ("up", "down"), ("fast", "slow")]
    shown = "".join(f"Input: {a}\nOutput: {b}\n\n" for a, b in pairs)
    prompts = [f"{shown}Input: {word}\nOutput:" for word in ("light", "happy", "early")]
    found = choose(*smollm2, prompts, [" dark", " sad", " late"])
    assert found.best.tolist() == [0, 1, 2]

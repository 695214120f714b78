"""Is a text the same, whatever is written beside it and wherever padding stands?"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator

from smallscale.models import LanguageModel, chat_prompt, small_transformer, write
from smallscale.models.encoding import encode_prompts
from smallscale.models.generation import (
    continue_tokens,
    end_tokens,
    left_padded,
    read_prompts,
)
from tests.models.tokenizers_like import (
    GEMMA,
    LLAMA_3,
    PHI,
    byte_level,
    sentencepiece_like,
    with_turns,
)

END = 2
WORDS = st.lists(st.integers(3, 30), min_size=1, max_size=12)


def one_by_one(model: Any, prompt: list[int], steps: int) -> list[int]:
    """The likeliest next token, `steps` times over; all is read anew each time."""
    text = list(prompt)
    for _ in range(steps):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([text])).logits[0, -1]
        text.append(int(logits.argmax()))
        if text[-1] == END:
            break
    return text[len(prompt) :]


def greedy(model: Any, prompts: list[list[int]], **options: Any) -> list[list[int]]:
    return continue_tokens(
        model, prompts, end_tokens=[END], **{"max_new_tokens": 12, **options}
    )


@given(st.lists(WORDS, min_size=1, max_size=6), st.integers(1, 7))
@settings(max_examples=30, deadline=None)
def test_texts_side_by_side_are_those_written_alone(
    tiny: LanguageModel, prompts: list[list[int]], batch_size: int
) -> None:
    together = greedy(tiny.model, prompts, batch_size=batch_size)
    assert together == [one_by_one(tiny.model, prompt, 12) for prompt in prompts]


def test_what_all_prompts_begin_with_is_read_once_and_changes_nothing(
    tiny: LanguageModel,
) -> None:
    examples = [5, 9, 7, 11, 6, 21, 8, 14, 9, 5, 12]
    prompts = [[*examples, *rest] for rest in ([4], [7, 8, 9], [], [4, 4])]
    assert greedy(tiny.model, prompts) == [
        one_by_one(tiny.model, prompt, 12) for prompt in prompts
    ]
    rows = []
    hook = tiny.model.model.embed_tokens.register_forward_hook(
        lambda _module, args, _out: rows.append(tuple(args[0].shape))
    )
    read_prompts(tiny.model, prompts)
    hook.remove()
    # The prompt that is nothing but the examples keeps its last token to itself.
    assert rows == [(1, 10), (4, 4)]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch", [1, 25])
def test_transformers_writes_the_same_for_padding_on_either_side(
    tiny: LanguageModel, side: str, batch: int
) -> None:
    numbers = Generator().manual_seed(1)
    lengths = torch.randint(1, 15, (batch,), generator=numbers).tolist()
    prompts = [
        torch.randint(3, 30, (length,), generator=numbers).tolist()
        for length in lengths
    ]
    padded, mask = left_padded(prompts)
    theirs = tiny.model.generate(
        input_ids=padded,
        attention_mask=mask,
        max_new_tokens=12,
        do_sample=False,
        eos_token_id=END,
        pad_token_id=0,
    )[:, padded.shape[1] :]
    ids = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(prompt) for prompt in prompts], True, 0, side
    )
    seen = torch.nn.utils.rnn.pad_sequence(
        [torch.ones(len(prompt)) for prompt in prompts], True, 0, side
    )
    rows = [row[kept.bool()].tolist() for row, kept in zip(ids, seen, strict=True)]
    ours = greedy(tiny.model, rows)
    for mine, other in zip(ours, theirs.tolist(), strict=True):
        assert mine == other[: len(mine)]
        assert len(mine) == 12 or mine[-1] == END


def test_draws_follow_the_models_probabilities(tiny: LanguageModel) -> None:
    with torch.no_grad():
        logits = tiny.model(input_ids=torch.tensor([[5, 6]])).logits[0, -1]
    expected = (logits / 2).softmax(0)
    drawn = continue_tokens(
        tiny.model,
        [[5, 6]] * 4000,
        max_new_tokens=1,
        end_tokens=[END],
        temperature=2.0,
        batch_size=1000,
    )
    counts = Counter(token for (token,) in drawn)
    for token in expected.topk(5).indices.tolist():
        p = expected[token].item()
        assert abs(counts[token] / 4000 - p) < 4 * (p * (1 - p) / 4000) ** 0.5


def test_draws_do_not_depend_on_what_is_written_beside(tiny: LanguageModel) -> None:
    prompts = [[5, 6, 7], [9], [5, 6, 7], [11, 12]]

    def drawn(which: list[int], batch_size: int) -> list[list[int]]:
        return continue_tokens(
            tiny.model,
            [prompts[i] for i in which],
            max_new_tokens=10,
            end_tokens=[END],
            temperature=1.0,
            batch_size=batch_size,
            generator=[Generator().manual_seed(i) for i in which],
        )

    every = drawn([0, 1, 2, 3], 4)
    assert every == drawn([0, 1, 2, 3], 1)
    assert drawn([3, 1], 2) == [every[3], every[1]]
    assert every[0] != every[2]  # one prompt, two generators


def test_the_same_seed_draws_the_same_and_leaves_the_global_one_alone(
    tiny: LanguageModel,
) -> None:
    def drawn(seed: int) -> list[list[int]]:
        return continue_tokens(
            tiny.model,
            [[5], [6]],
            max_new_tokens=10,
            end_tokens=[END],
            temperature=1.0,
            generator=Generator().manual_seed(seed),
        )

    state = torch.get_rng_state()
    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_text_ends_before_its_stop_and_without_special_tokens(
    tiny: LanguageModel,
) -> None:
    (whole,) = write(*tiny, ["Say: hello"], max_new_tokens=30)
    letter = whole[5]
    (cut,) = write(*tiny, ["Say: hello"], max_new_tokens=30, stop=[letter])
    assert cut == whole[: whole.index(letter)]
    assert "</s>" not in whole
    assert write(*tiny, [], max_new_tokens=3) == []


def test_both_ends_of_a_chat_model_end_its_text(tiny: LanguageModel) -> None:
    model = small_transformer(30, length=8, eos_token_id=[7, 9])
    model.generation_config.eos_token_id = [7, 9]
    assert end_tokens(model, tiny.tokenizer) == [2, 7, 9]


@pytest.mark.parametrize("template", [GEMMA, LLAMA_3, PHI])
def test_a_text_ends_where_the_template_ends_a_turn(template: str) -> None:
    """Also where a model's settings name the end of text alone, or nothing."""
    tokenizer = byte_level(start=True)
    turn = with_turns(tokenizer, template)
    model = small_transformer(len(tokenizer), length=64, width=16, heads=2, seed=0)
    model.generation_config.eos_token_id = None
    assert end_tokens(model, tokenizer) == [END, turn]
    prompt = chat_prompt(tokenizer, "Rest")
    (free,) = encode_prompts(tokenizer, [prompt])
    (ids,) = continue_tokens(model, [free], max_new_tokens=9, end_tokens=[])
    step = count()

    def ends_turn(_: Any, __: Any, output: Any) -> None:
        if next(step) == 3:
            output.logits[..., turn] = 1e9

    model.register_forward_hook(ends_turn)
    (written,) = write(model, tokenizer, [prompt], max_new_tokens=9)
    assert written == tokenizer.decode(ids[:3], skip_special_tokens=True)


def test_a_message_is_written_as_the_template_writes_it(tiny: LanguageModel) -> None:
    prompt = chat_prompt(tiny.tokenizer, "Rest", system="Be kind")
    assert prompt == ("<s>system\nBe kind</s>\n<s>user\nRest</s>\n<s>assistant\n")


@pytest.mark.parametrize("make", [partial(byte_level, start=True), sentencepiece_like])
def test_a_template_is_read_with_one_beginning_and_no_end(
    make: Callable[[], Any],
) -> None:
    tokenizer = make()
    model = small_transformer(len(tokenizer), length=64, width=16, heads=2, seed=0)
    prompt = chat_prompt(tokenizer, "What shall I do?")
    once = tokenizer.encode(prompt, add_special_tokens=False)
    ends = [tokenizer.eos_token_id]
    (ids,) = continue_tokens(model, [once], max_new_tokens=9, end_tokens=ends)
    expected = tokenizer.decode(ids, skip_special_tokens=True)
    read = []
    hook = model.model.embed_tokens.register_forward_hook(
        lambda _, args, __: read.append(args[0].tolist())
    )
    assert write(model, tokenizer, [prompt], max_new_tokens=9) == [expected]
    hook.remove()
    assert read[0] == [once]


def test_a_model_is_left_in_the_mode_it_was_in(tiny: LanguageModel) -> None:
    model = small_transformer(40, length=16, attention_dropout=0.9).train()
    assert greedy(model, [[5, 6]]) == greedy(model, [[5, 6]])
    assert model.training


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompts": [[5], []]}, "number 1 has none"),
        ({"prompts": [[5] * 250]}, "longer than the 256"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"batch_size": 0}, "batch_size"),
        ({"generator": [Generator()]}, "one for each of 2 texts"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tiny: LanguageModel, change: dict[str, Any], said: str
) -> None:
    options: dict[str, Any] = {"prompts": [[5], [6]], "max_new_tokens": 12, **change}
    with pytest.raises(ValueError, match=said):
        continue_tokens(tiny.model, end_tokens=[END], **options)


def test_one_string_is_no_list_and_no_template_no_chat(tiny: LanguageModel) -> None:
    with pytest.raises(ValueError, match="put a single string into a list"):
        write(*tiny, "Say")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="put a single string into a list"):
        write(*tiny, ["Say"], stop="\n")
    tiny.tokenizer.chat_template, kept = None, tiny.tokenizer.chat_template
    with pytest.raises(ValueError, match="chat template"):
        chat_prompt(tiny.tokenizer, "Rest")
    tiny.tokenizer.chat_template = kept


def test_the_real_model_writes_what_transformers_writes(smollm2: LanguageModel) -> None:
    prompts = ["The capital of France is", "1 2 3 4", "Once upon a time there was a"]
    inputs = smollm2.tokenizer(prompts, return_tensors="pt", padding=True)
    theirs = smollm2.model.generate(
        **inputs, max_new_tokens=8, do_sample=False, pad_token_id=2
    )[:, inputs.input_ids.shape[1] :]
    assert write(*smollm2, prompts, max_new_tokens=8) == smollm2.tokenizer.batch_decode(
        theirs, skip_special_tokens=True
    )
    assert write(*smollm2, prompts[:2], max_new_tokens=2)[0] == " Paris."

"""Are a prompt's and an answer's tokens those of their text, begun and ended once?"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from smallscale.models.encoding import encode_answers, encode_prompts, turn_end
from smallscale.models.generation import chat_prompt
from tests.models.tokenizers_like import (
    GEMMA,
    LLAMA_3,
    PHI,
    byte_level,
    sentencepiece_like,
    with_turns,
)

START, END = 1, 2
TOKENIZERS = {
    "byte-level": byte_level(),
    "byte-level, begun": byte_level(start=True),
    "Metaspace": sentencepiece_like(),
    "Metaspace, legacy": sentencepiece_like(legacy=True),
    "bytes": ByT5Tokenizer(extra_ids=0),
}
PAIRS = {
    "code": ("def f(", ["x)", "): return"]),
    "space in the prompt": ("Say: ", ["hello there", "hell"]),
    "space in the answers": ("Say:", [" hello there", " hell"]),
    "two spaces": ("Say:  ", ["hello", " hell"]),
    "within a word": ("Say: hel", ["lo there", "l is there"]),
    "within a character": ("naïve caf", ["é", "e"]),
    "no prompt": ("", ["hello there", "hell"]),
    "an empty answer": ("Say: hello", ["", " there"]),
    "a line's end": ("What shall I do?\n", ["Rest\n", "\nRest"]),
}


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]


def whole(tokenizer: Any, text: str) -> list[int]:
    """The text as the tokenizer encodes it for a model, with one end of text behind."""
    end = tokenizer.eos_token_id
    ids: list[int] = tokenizer.encode(text)
    return ids if ids[-1:] == [end] else [*ids, end]


@pytest.mark.parametrize("case", PAIRS)
def test_prompt_and_answer_are_the_tokens_of_the_whole_text(
    tokenizer: Any, case: str
) -> None:
    prompt, answers = PAIRS[case]
    found = encode_answers(tokenizer, prompt, answers)
    assert len(found.prompt) > 0
    for answer, ids in zip(answers, found.answers, strict=True):
        text = [*found.prompt, *ids]
        expected = whole(tokenizer, prompt + answer)
        if not prompt and expected[0] != START:  # predicted from something
            assert text.pop(0) in (START, tokenizer.eos_token_id)
        assert text == expected
        assert ids.count(tokenizer.eos_token_id) == 1
        assert START not in ids or tokenizer.bos_token_id is None


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(TOKENIZERS)),
    st.text("def f(x): Say\n helo", min_size=1, max_size=12),
    st.lists(st.text("def f(x): Say\n helo", max_size=12), min_size=1, max_size=3),
)
def test_so_it_is_with_any_text(name: str, prompt: str, answers: list[str]) -> None:
    tokenizer = TOKENIZERS[name]
    found = encode_answers(tokenizer, prompt, answers)
    for answer, ids in zip(answers, found.answers, strict=True):
        text = [*found.prompt, *ids]
        expected = whole(tokenizer, prompt + answer)
        assert text in (expected, [START, *expected], [END, *expected], [1, *expected])
        if name != "bytes" and name != "byte-level":
            assert text == expected


def test_the_answers_of_a_prompt_continue_the_same_tokens() -> None:
    """A token is " yes", others are " " and "!": the space belongs to both answers."""
    tokenizer = TOKENIZERS["byte-level"]
    prompt, (first, second) = encode_answers(tokenizer, "Say: ", ["yes", "!"])
    assert tokenizer.decode(prompt) == "Say:"
    assert tokenizer.decode(first) == " yes</s>"
    assert tokenizer.decode(second) == " !</s>"


def test_no_space_comes_between_prompt_and_answer() -> None:
    """Encoded apart, a SentencePiece model would read "def f( x)"."""
    tokenizer = TOKENIZERS["Metaspace"]
    prompt, (answer,) = encode_answers(tokenizer, "def f(", ["x)"])
    text = tokenizer.decode([*prompt, *answer], skip_special_tokens=True)
    assert text == "def f(x)"


CHAT = [{"role": "user", "content": "What shall I do?"}]
REPLY = {"role": "assistant", "content": "Rest"}


@pytest.mark.parametrize("make", [byte_level, sentencepiece_like])
@pytest.mark.parametrize("start", ["with the prompt apart", "as one text"])
def test_text_from_a_chat_template_is_begun_and_ended_once(
    make: Callable[[], Any], start: str
) -> None:
    tokenizer = make()
    shape = {"tokenize": False}
    text = tokenizer.apply_chat_template([*CHAT, REPLY], **shape)
    prompt = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, **shape)
    assert text.startswith(prompt)
    prompt = prompt if start == "with the prompt apart" else ""
    found = encode_answers(tokenizer, prompt, [text[len(prompt) :]])
    ids = [*found.prompt, *found.answers[0]]
    assert ids == tokenizer.encode(text, add_special_tokens=False)
    assert ids[0] == START
    assert ids[1] != START
    assert ids.count(END) == text.count("</s>")


@pytest.mark.parametrize("make", [byte_level, sentencepiece_like])
@pytest.mark.parametrize("template", [GEMMA, LLAMA_3, PHI])
@pytest.mark.parametrize("start", ["with the prompt apart", "as one text"])
def test_a_turn_that_its_template_has_ended_is_not_ended_again(
    make: Callable[[], Any], template: str, start: str
) -> None:
    """Behind <end_of_turn> no model has seen an end of text."""
    tokenizer = make()
    turn = with_turns(tokenizer, template)
    assert turn_end(tokenizer) == turn != END
    text = tokenizer.apply_chat_template([*CHAT, REPLY], tokenize=False)
    prompt = chat_prompt(tokenizer, "What shall I do?")
    assert text.startswith(prompt)
    answer = text[len(prompt) :]
    asked = prompt if start == "with the prompt apart" else ""
    found = encode_answers(tokenizer, asked, [text[len(asked) :]])
    ids = [*found.prompt, *found.answers[0]]
    if ids[:1] != tokenizer.encode(text, add_special_tokens=False)[:1]:
        ids = ids[1:]  # of a prompt that is empty: predicted from something
    assert ids == tokenizer.encode(text, add_special_tokens=False)
    assert ids.count(turn) == 2
    # A reply that was written by hand ends as the template would end it.
    by_hand, from_template = encode_answers(tokenizer, prompt, ["Rest", answer]).answers
    assert by_hand == from_template[: len(by_hand)]
    assert by_hand[-1] == turn
    # In a text that is no talk, the end is that of a text.
    (plain,) = encode_answers(tokenizer, "Say: ", ["hello"]).answers
    assert plain[-1] == END
    assert turn not in plain


@pytest.mark.parametrize("template", [None, "", "{{ 1 / 0 }}", "{{ nothing.at.all }}"])
def test_a_template_that_says_nothing_of_a_turn(template: str | None) -> None:
    tokenizer = byte_level()
    tokenizer.chat_template = template
    assert turn_end(tokenizer) is None
    assert encode_answers(tokenizer, "Say: ", ["hello"]).answers[0][-1] == END


def test_an_end_within_an_answer_is_not_its_end() -> None:
    tokenizer = TOKENIZERS["byte-level"]
    _, (answer,) = encode_answers(tokenizer, "Say:", [" yes</s> no"])
    assert answer.count(END) == 2
    assert answer[-1] == END


def test_a_tokenizer_that_ends_each_text_itself_ends_it_once() -> None:
    tokenizer = TOKENIZERS["bytes"]
    end = tokenizer.eos_token_id
    assert tokenizer.encode("a")[-1] == end
    _, answers = encode_answers(tokenizer, "a", ["b", "b</s>"])
    assert answers[0] == answers[1] == [ord("b") + 3, end]


def test_a_tokenizer_without_an_end_is_refused() -> None:
    tokenizer = byte_level()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match=r"end-of-text.*set tokenizer\.eos_token"):
        encode_answers(tokenizer, "a", ["b"])


@pytest.mark.parametrize("known", ["0", "ж"])
def test_the_beginning_is_found_by_a_tokenizer_that_knows_no_a(known: str) -> None:
    """It encodes "a" as nothing at all; the last one knows no Latin letter either."""
    vocabulary = {"<s>": START, "</s>": END, "<u>": 0, known: 3}
    words = Tokenizer(models.BPE(vocabulary, []))
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", START), ("</s>", END)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>"
    )
    assert tokenizer.encode("a", add_special_tokens=False) == []
    found = encode_answers(tokenizer, known, [known * 2])
    assert found == ([START, 3], [[3, 3, END]])


@pytest.mark.parametrize("make", [lambda: byte_level(start=True), sentencepiece_like])
def test_a_template_that_is_to_be_continued_is_begun_once(
    make: Callable[[], Any],
) -> None:
    """The tokenizer's own `encode` begins what the template has begun."""
    tokenizer = make()
    prompt = chat_prompt(tokenizer, "What shall I do?")
    assert tokenizer.encode(prompt)[:2] == [START, START]
    (ids,) = encode_prompts(tokenizer, [prompt])
    assert ids == tokenizer.encode(prompt, add_special_tokens=False)
    assert ids.count(START) == prompt.count("<s>")


def test_a_text_that_is_to_be_continued_is_begun_and_not_ended() -> None:
    byt5 = TOKENIZERS["bytes"]
    assert encode_prompts(byt5, ["ab", "c"]) == [[100, 101], [102]]
    assert encode_prompts(TOKENIZERS["Metaspace"], [""]) == [[START]]
    assert encode_prompts(byt5, []) == []

"""Which tokens are the prompt, and which the answer? Text, as a model was taught it.

A model has read whole texts. So prompt and answer are encoded as one text, and only
then told apart: encoded one by one they would meet in tokens that the text does not
have.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from smallscale.core.validation import require


class EncodedAnswers(NamedTuple):
    """prompt: token ids, at least one. answers: the token ids of each answer."""

    prompt: list[int]
    answers: list[list[int]]


def encode_answers(
    tokenizer: Any, prompt: str, answers: Sequence[str], *, ended: bool = True
) -> EncodedAnswers:
    """Return a prompt and answers to it as token ids, by a transformers tokenizer.

    prompt + answer are the ids of the whole text, with what the tokenizer itself puts
    in front of a text, and with an end behind it, each only where the text has it not
    yet; a chat template may have written them. The end is the end of text; or the end
    of a turn (see `turn_end`), which a text from a template may end with, and which is
    put behind an answer to a prompt that holds one. An end that only white space
    follows is an end. ended: False adds no end, for an answer that a text goes on
    from.
    The prompt is what the ids of all these texts have in common with the prompt's own.
    A token that holds letters of both is part of the answer, so that all answers
    continue the same tokens, and their probabilities compare. Where nothing is left of
    the prompt, it is the beginning of text, or where there is none the end: the first
    token of an answer is predicted from something.
    Raises ValueError for a tokenizer without an end of text.
    """
    end = tokenizer.eos_token_id
    require(
        end is not None,
        "tokenizer must have an end-of-text token, which tells where an answer ends; "
        "set tokenizer.eos_token",
    )
    texts = [prompt, *(prompt + answer for answer in answers)]
    bare = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    start = _start_tokens(tokenizer, texts) if bare[0] else []
    begun = [_begun(ids, start) for ids in bare]
    shared = common_length(begun)
    if shared == 0:
        beginning = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        start = _start_tokens(tokenizer, texts) or [beginning]
        begun = [_begun(ids, start) for ids in bare]
        shared = common_length(begun)
    answers_ids = [ids[shared:] for ids in begun[1:]]
    if ended:
        turn = turn_end(tokenizer)
        ends = {end, end if turn is None else turn}
        added = turn if turn in begun[0] else end
        answers_ids = [_ended(ids, tokenizer, ends, added) for ids in answers_ids]
    return EncodedAnswers(prompt=begun[0][:shared], answers=answers_ids)


def encode_prompts(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of texts that are to be continued, by a transformers
    tokenizer: begun as the tokenizer begins a text, where they do not begin so already,
    as a chat template writes them; and not ended.

    A tokenizer's own `encode` begins the text of a template twice, and some end a text
    that should go on.
    """
    if not texts:
        return []
    rows = tokenizer(list(texts), add_special_tokens=False).input_ids
    start = _start_tokens(tokenizer, texts)
    return [_begun(list(ids), start) for ids in rows]


def _start_tokens(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Return the ids that a tokenizer itself puts in front of a text; often none.

    A letter shows them. A tokenizer that has no token for it is shown another, and at
    last the texts themselves.
    """
    for text in (*"aA0.", *texts):
        bare = tokenizer.encode(text, add_special_tokens=False)
        full = tokenizer.encode(text, add_special_tokens=True)
        for place in range(len(full)):
            if bare and full[place : place + len(bare)] == bare:
                start: list[int] = full[:place]
                return start
    return []


def _begun(ids: list[int], start: list[int]) -> list[int]:
    """Return the ids with `start` in front, unless it is there."""
    return ids if ids[: len(start)] == start else [*start, *ids]


def _ended(ids: list[int], tokenizer: Any, ends: set[int], added: int) -> list[int]:
    """Return an answer's ids with `added` behind, unless one of the ends is there."""
    places = [place for place, token in enumerate(ids) if token in ends]
    if places:
        behind = ids[places[-1] + 1 :]
        if not behind or not tokenizer.decode(behind).strip():
            return ids
    return [*ids, added]


def turn_end(tokenizer: Any) -> int | None:
    """Return the token by which a chat template ends a reply, or None.

    It need not be the tokenizer's end of text: it is `<end_of_turn>` in Gemma's
    template and `<|eot_id|>` in Llama 3's. It is the first special token behind a reply
    that the template writes.
    """
    if not getattr(tokenizer, "chat_template", None):
        return None
    reply = "reply"
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": reply}]
    try:
        text = tokenizer.apply_chat_template(talk, tokenize=False)
    except Exception:  # a template's, which may refuse whatever it likes
        return None
    behind = text.rpartition(reply)[2]
    known = tokenizer.added_tokens_decoder
    special = {token for token, added in known.items() if added.special}
    special.update(tokenizer.all_special_ids)
    ids = tokenizer.encode(behind, add_special_tokens=False)
    return next((token for token in ids if token in special), None)


def common_length(rows: Sequence[Sequence[int]]) -> int:
    """Return how many ids these rows have in common at their start."""
    length = 0
    for ids in zip(*rows, strict=False):
        if len(set(ids)) > 1:
            break
        length += 1
    return length

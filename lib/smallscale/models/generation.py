"""What does a language model write? Many texts side by side, token by token.

Texts of unequal length are padded on the left, so that all are continued at their right
end. Each step reads only the newest token: the keys and values of what was read before
are kept. What all prompts begin with, such as the examples of a few-shot prompt, is
read once.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, NamedTuple, Self

import torch
from torch import Generator, Tensor

from smallscale.core.modes import eval_mode
from smallscale.core.seeds import generator_or_new
from smallscale.core.validation import finite_number, require, whole_number
from smallscale.models.encoding import common_length, encode_prompts, turn_end

Rows = Sequence[Sequence[int]]  # token ids, a list for each text
SHARED = 8  # prompts that begin with fewer equal tokens are read one by one


class Reading(NamedTuple):
    """What a model keeps of n texts that it has read.

    cache: the keys and values. mask: (n, columns), 1 where there is text, 0 at padding.
    logits: (n, vocabulary), of the token after each text.
    """

    cache: Any
    mask: Tensor
    logits: Tensor

    def rows(self, which: Tensor) -> Self:
        """Return these rows alone. The cache is cut in place."""
        self.cache.batch_select_indices(which)
        return type(self)(self.cache, self.mask[which], self.logits[which])

    def repeated(self, times: int) -> Self:
        """Return each row `times` over, as a copy: this reading stays as it is."""
        cache = deepcopy(self.cache)
        cache.batch_repeat_interleave(times)
        mask = self.mask.repeat_interleave(times, 0)
        return type(self)(cache, mask, self.logits.repeat_interleave(times, 0))


def read_prompts(model: Any, prompts: Rows) -> Reading:
    """Read prompts of token ids, at least one token each, side by side."""
    shared = min(common_length(prompts), min(map(len, prompts)) - 1)
    device = model.device
    cache = None
    if len(prompts) == 1 or shared < SHARED:
        shared = 0
    else:
        beginning = torch.tensor([prompts[0][:shared]], device=device)
        cache = model(input_ids=beginning, use_cache=True, logits_to_keep=1)
        cache = cache.past_key_values
        cache.batch_repeat_interleave(len(prompts))
    ids, mask = left_padded([prompt[shared:] for prompt in prompts])
    seen = torch.cat([mask.new_ones(len(ids), shared), mask], 1).to(device)
    output = model(
        input_ids=ids.to(device),
        attention_mask=seen,
        position_ids=positions(seen)[:, shared:],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return Reading(output.past_key_values, seen, output.logits[:, -1])


def read_on(model: Any, read: Reading, ids: Tensor, mask: Tensor) -> tuple[Any, Tensor]:
    """Read ids (n, k) after what was read; return the cache and logits (n, k, vocab).

    mask: (n, k), 1 where there is text.
    """
    seen = torch.cat([read.mask, mask], 1)
    output = model(
        input_ids=ids,
        attention_mask=seen,
        position_ids=positions(seen)[:, read.mask.shape[1] :],
        past_key_values=read.cache,
        use_cache=True,
    )
    return output.past_key_values, output.logits


def positions(mask: Tensor) -> Tensor:
    """Return the place of each token within its text; padding does not count."""
    return (mask.cumsum(1) - 1).clamp(min=0)


def left_padded(rows: Rows) -> tuple[Tensor, Tensor]:
    """Return ids and mask, (rows, longest) each, with padding on the left.

    >>> left_padded([[5, 6], [7]])
    (tensor([[5, 6],
            [0, 7]]), tensor([[1, 1],
            [0, 1]]))
    """
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, longest - len(row) :] = torch.tensor(row)
        mask[i, longest - len(row) :] = 1
    return ids, mask


@torch.no_grad()
def continue_tokens(
    model: Any,
    prompts: Rows,
    *,
    max_new_tokens: int,
    end_tokens: Sequence[int],
    temperature: float = 0.0,
    stops: Callable[[list[int]], bool] | None = None,
    batch_size: int = 25,
    generator: Generator | Sequence[Generator] | None = None,
) -> list[list[int]]:
    """Continue each prompt, token by token; return the new token ids, end included.

    model: a causal language model of transformers. prompts: token ids, unpadded.
    A text ends with one of end_tokens, where `stops` says so of its new tokens, or
    after max_new_tokens.
    temperature: 0 takes the likeliest token (greedy); above 0 token t is drawn with
    probability softmax(logits / temperature)[t].
    batch_size: how many texts are written side by side. generator: one for all texts,
    or one for each; None: one seeded 0. What is drawn for a text does not depend on
    which others are written beside it.
    Raises ValueError for a prompt without tokens, or one that leaves the model no room
    for max_new_tokens.
    """
    max_new_tokens = whole_number("max_new_tokens", max_new_tokens)
    batch_size = whole_number("batch_size", batch_size)
    temperature = finite_number("temperature", temperature, least=0)
    check_room(model, prompts, max_new_tokens)
    chances = _uniforms(len(prompts), max_new_tokens, generator)
    ends = frozenset(end_tokens)
    written: list[list[int]] = [[] for _ in prompts]
    # Texts of like length stand side by side, the longest first.
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    with eval_mode(model):
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            read = read_prompts(model, [prompts[i] for i in rows])
            for step in range(max_new_tokens):
                tokens = _next_tokens(read.logits, temperature, chances[rows, step])
                going = []
                for place, i in enumerate(rows):
                    written[i].append(tokens[place])
                    ended = tokens[place] in ends or (stops and stops(written[i]))
                    if not ended:
                        going.append(place)
                if not going or step + 1 == max_new_tokens:
                    break
                if len(going) < len(rows):
                    read = read.rows(torch.tensor(going, device=read.mask.device))
                    rows = [rows[place] for place in going]
                newest = torch.tensor([[written[i][-1]] for i in rows])
                newest = newest.to(read.mask.device)
                ones = torch.ones_like(newest)
                cache, logits = read_on(model, read, newest, ones)
                mask = torch.cat([read.mask, ones], 1)
                read = Reading(cache, mask, logits[:, -1])
    return written


def _next_tokens(logits: Tensor, temperature: float, chance: Tensor) -> list[int]:
    """Return the next token of each row; chance is its uniform number, (rows,)."""
    if temperature == 0:
        return logits.argmax(1).tolist()
    likely = (logits.double().cpu() / temperature).softmax(1)
    drawn = (likely.cumsum(1) <= chance[:, None]).sum(1)  # the inverse of the CDF
    return drawn.clamp(max=logits.shape[1] - 1).tolist()


def _uniforms(
    n: int, steps: int, generator: Generator | Sequence[Generator] | None
) -> Tensor:
    """Return (n, steps) numbers in [0, 1), drawn before anything is written."""
    if generator is None or not isinstance(generator, Sequence):
        generator = generator_or_new(generator)
        return torch.rand(n, steps, generator=generator, dtype=torch.double)
    require(
        len(generator) == n,
        f"generator must be one, or one for each of {n} texts; got {len(generator)}",
    )
    each = [generator_or_new(g) for g in generator]
    rows = [torch.rand(steps, generator=g, dtype=torch.double) for g in each]
    return torch.stack(rows) if rows else torch.zeros(0, steps)


def check_room(model: Any, prompts: Rows, more: int) -> None:
    """Refuse prompts without tokens, and those that leave no room for `more` tokens."""
    most = getattr(model.config, "max_position_embeddings", None)
    for i, prompt in enumerate(prompts):
        require(len(prompt) > 0, f"prompts must each have a token; number {i} has none")
        require(
            most is None or len(prompt) + more <= most,
            f"prompt number {i} has {len(prompt)} tokens; with {more} more it is "
            f"longer than the {most} that the model reads: shorten it",
        )


def write(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    stop: Sequence[str] = (),
    batch_size: int = 25,
    generator: Generator | Sequence[Generator] | None = None,
) -> list[str]:
    """Return how a language model continues each prompt, a text for each.

    A prompt may come from `chat_prompt`: it is begun once, see `encode_prompts`.
    stop: a text ends before the first of these strings; `("\\n",)` asks for one line.
    The end of text or of a turn ends it as well, and special tokens are left out. The
    other arguments are those of `continue_tokens`.
    Raises ValueError for one string in place of a list, and as `continue_tokens` does.
    """
    require(
        not isinstance(prompts, str) and not isinstance(stop, str),
        "prompts and stop must be lists of strings; put a single string into a list",
    )
    encoded = encode_prompts(tokenizer, prompts)

    def text_of(tokens: list[int]) -> str:
        text: str = tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def stops(tokens: list[int]) -> bool:
        text = text_of(tokens)
        return any(end in text for end in stop)

    written = continue_tokens(
        model,
        encoded,
        max_new_tokens=max_new_tokens,
        end_tokens=end_tokens(model, tokenizer),
        temperature=temperature,
        stops=stops if stop else None,
        batch_size=batch_size,
        generator=generator,
    )
    return [_before(text_of(tokens), stop) for tokens in written]


def _before(text: str, stop: Sequence[str]) -> str:
    """Return the text before the first of the strings in stop; all of it without."""
    places = [text.find(end) for end in stop if end in text]
    return text[: min(places)] if places else text


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Return the tokens that end a text, as the tokenizer and the model's settings say.

    A chat model may end its turn with another token than its tokenizer's: one of the
    settings, which may name several, or that of its template.
    """
    configured = getattr(model, "generation_config", None)
    named = getattr(configured, "eos_token_id", None)
    ends = named if isinstance(named, list) else [named]
    return sorted({*ends, tokenizer.eos_token_id, turn_end(tokenizer)} - {None})


def chat_prompt(tokenizer: Any, text: str, *, system: str | None = None) -> str:
    """Return a user's message as the model's chat template writes it, open for a reply.

    Raises ValueError for a tokenizer that has no chat template.
    """
    require(
        tokenizer.chat_template,
        "tokenizer must have a chat template; give a text that the model continues "
        "instead",
    )
    messages = [{"role": "user", "content": text}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    prompt: str = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    return prompt

"""How likely is an answer under a policy? Answers as padded tokens, and their
log-probability.

Log-probabilities are sums over an answer's tokens, its end of text included. Prompt and
padding do not count, and padding on either side changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from smallscale.core.devices import few_threads
from smallscale.core.modes import eval_mode
from smallscale.core.validation import one_of, require, same_length, whole_number
from smallscale.dpo.losses import MASKED, sequence_logps

Tokens = Sequence[Sequence[int]]  # token ids, a list for each text


@dataclass(frozen=True)
class Answers:
    """Prompts with their answers, padded to one length: three tensors (n, length).

    ids: the token ids. labels: the same, but -100 at prompt and padding.
    mask: 1 where there is text, 0 at padding. All are int64.

    >>> texts = padded_answers([[5, 6], [7]], [[1], [2]])
    >>> len(texts), texts[[1]].ids  # a row alone sheds its padding
    (2, tensor([[7, 2]]))
    """

    ids: Tensor
    labels: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> Self:
        """Return these rows, without the columns that are padding in all of them."""
        mask = self.mask[rows]
        used = mask.any(0).nonzero()  # the columns that hold text
        keep = slice(int(used.min()), int(used.max()) + 1)
        return type(self)(
            self.ids[rows][:, keep], self.labels[rows][:, keep], mask[:, keep]
        )

    def to(self, device: Any) -> Self:
        """Return the same answers on this device."""
        return type(self)(
            self.ids.to(device), self.labels.to(device), self.mask.to(device)
        )


def padded_answers(
    prompts: Tokens,
    completions: Tokens,
    *,
    pad: int = 0,
    side: str = "right",
    max_length: int | None = None,
) -> Answers:
    """Return prompts and completions, given as token ids, as `Answers`.

    prompts, completions: n lists of token ids each. A prompt has at least one token. A
    completion holds its end-of-text token: that a text ends there is part of it.
    pad: the id that fills up; which one does not matter. side: where padding goes,
    right or left. max_length: longer texts lose their last tokens.
    Raises ValueError where the numbers of prompts and completions differ, for
    completions that are empty, or would be once truncated, and for a max_length below
    1.

    >>> texts = padded_answers([[5, 6], [7]], [[1], [2]])
    >>> texts.ids
    tensor([[5, 6, 1],
            [7, 2, 0]])
    >>> texts.labels
    tensor([[-100, -100,    1],
            [-100,    2, -100]])
    """
    one_of("side", side, ("right", "left"))
    if max_length is not None:
        max_length = whole_number("max_length", max_length)
    same_length(prompts=prompts, completions=completions)
    require(
        all(len(prompt) > 0 for prompt in prompts),
        "prompts must each hold a token, since the first token of a completion is "
        "predicted from one",
    )
    ids = []
    labels = []
    for prompt, completion in zip(prompts, completions, strict=True):
        text = torch.tensor([*prompt, *completion][:max_length])
        label = text.clone()
        label[: len(prompt)] = MASKED
        ids.append(text)
        labels.append(label)
    empty = [i for i, prompt in enumerate(prompts) if len(ids[i]) <= len(prompt)]
    if empty:
        raise ValueError(
            f"completions must not be empty within max_length={max_length}; row "
            f"{empty[0]} is ({len(empty)} of {len(prompts)}): raise max_length, or "
            "drop these rows"
        )
    masks = [torch.ones_like(text) for text in ids]
    return Answers(
        ids=pad_sequence(ids, True, pad, side),
        labels=pad_sequence(labels, True, MASKED, side),
        mask=pad_sequence(masks, True, 0, side),
    )


def answer_logps(policy: nn.Module, batch: Answers) -> Tensor:
    """Return log policy(answer | prompt) of each row, (rows,), with gradient.

    policy: a module from ids to logits, or a transformers model, which is also told
    what is padding. The batch goes to its device, and the result lies there.
    Raises ValueError for texts longer than a transformers model has positions, and for
    token ids outside its vocabulary.

    >>> from smallscale.dpo import Tabular
    >>> logps = answer_logps(Tabular([[0.25, 0.75]]), padded_answers([[0]], [[1]]))
    >>> round(logps.exp().item(), 6), logps.requires_grad
    (0.75, True)
    """
    batch = batch.to(next(policy.parameters()).device)
    check_readable(policy, batch)
    if not hasattr(policy, "config"):  # not a transformers model
        return sequence_logps(policy(batch.ids), batch.labels)
    # Positions count the text's tokens. Where padding is on the left, counting columns,
    # as transformers does by itself, would be wrong.
    positions = (batch.mask.cumsum(1) - 1).clamp(min=0)
    # Logits before the first label of any row are not needed, so they are not made.
    first = int((batch.labels[:, 1:] != MASKED).any(0).int().argmax())
    output = policy(
        input_ids=batch.ids,
        attention_mask=batch.mask,
        position_ids=positions,
        use_cache=False,
        logits_to_keep=batch.ids.shape[1] - first,
    )
    return sequence_logps(output.logits, batch.labels[:, first:])


def most_tokens(policy: nn.Module) -> int | None:
    """Return how many tokens a policy can read, the positions of a transformers model;
    None where it does not say.

    >>> from smallscale.dpo.policies import small_policy
    >>> most_tokens(small_policy(16, length=64))
    64
    """
    return _config_number(policy, "max_position_embeddings")


def check_readable(policy: nn.Module, texts: Answers) -> None:
    """Refuse texts that are too long for a transformers model, and unknown tokens."""
    most = most_tokens(policy)
    length = int(texts.mask.sum(1).max())
    require(
        most is None or length <= most,
        f"texts must have at most {most} tokens, the model's positions; got {length}: "
        "lower max_length, or write less",
    )
    vocabulary = _config_number(policy, "vocab_size")
    largest = int(texts.ids.max())
    require(
        vocabulary is None or largest < vocabulary,
        f"texts must hold token ids below {vocabulary}, the model's vocabulary; got "
        f"{largest}: the tokenizer must be the model's own",
    )


def _config_number(policy: nn.Module, name: str) -> int | None:
    """Return a number above 0 of a transformers model's config; None without one."""
    number = getattr(getattr(policy, "config", None), name, None)
    return number if isinstance(number, int) and number > 0 else None


def all_logps(policy: nn.Module, texts: Answers, *, batch_size: int = 512) -> Tensor:
    """Return `answer_logps` of all rows, (n,), without gradient and on the CPU.

    The policy is in eval mode meanwhile: a reference has no dropout. It goes through
    batch_size rows at a time.

    >>> from smallscale.dpo import Tabular
    >>> all_logps(Tabular([[0.25, 0.75]]), padded_answers([[0]] * 2, [[0], [1]])).exp()
    tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    parts = torch.split(torch.arange(len(texts)), batch_size)
    with eval_mode(policy), torch.no_grad(), few_threads(policy):
        return torch.cat([answer_logps(policy, texts[rows]).cpu() for rows in parts])

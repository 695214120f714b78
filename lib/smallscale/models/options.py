"""How likely does a language model find each of several answers, and which is it?"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from smallscale.core.modes import eval_mode
from smallscale.core.validation import one_of, require
from smallscale.models.encoding import EncodedAnswers, encode_answers
from smallscale.models.generation import Reading, check_room, read_on, read_prompts

NORMALIZE = ("none", "tokens", "bytes")
MOST_ROWS = 32  # read side by side


class Choices(NamedTuple):
    """best: (prompts,) the position of the likeliest option of each prompt.
    probabilities: (prompts, options), each row's sum 1.
    """

    best: Tensor
    probabilities: Tensor


@torch.no_grad()
def option_logps(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    options: Sequence[str] | Sequence[Sequence[str]],
    *,
    normalize: str = "none",
) -> Tensor:
    """Return log p(option | prompt) under a language model, (prompts, options):
        log p = sum over the option's tokens t of log softmax(logits before t)[t]

    options: strings offered after every prompt, or for each prompt a list of as many.
    An option continues its prompt as it stands: it begins with a space where words are
    parted by spaces. Prompt and option are encoded as one text, see `encode_answers`.
    normalize: "none"; "tokens" divides by the option's number of tokens; "bytes" by its
    bytes in UTF-8, which does not depend on the tokenizer (Gao et al. 2021's acc_norm).
    Each prompt is read once, and so is what all prompts begin with. The result is
    float64, on the CPU.
    Raises ValueError for an empty option, for rows of unequal length and for texts that
    are longer than the model reads.
    """
    one_of("normalize", normalize, NORMALIZE)
    table = option_table(prompts, options)
    encoded = [
        encode_answers(tokenizer, prompt, row, ended=False)
        for prompt, row in zip(prompts, table, strict=True)
    ]
    for texts in encoded:
        check_room(model, [texts.prompt], max(map(len, texts.answers)))
    columns = len(table[0]) if table else 0
    at_once = max(1, MOST_ROWS // max(1, columns))
    sums = torch.empty(len(table), columns, dtype=torch.double)
    order = sorted(range(len(table)), key=lambda i: -len(encoded[i].prompt))
    with eval_mode(model):
        for start in range(0, len(order), at_once):
            rows = order[start : start + at_once]
            sums[rows] = _sums(model, [encoded[i] for i in rows])
    if normalize == "tokens":
        sums /= torch.tensor([[len(ids) for ids in texts.answers] for texts in encoded])
    elif normalize == "bytes":
        sums /= torch.tensor([[len(text.encode()) for text in row] for row in table])
    return sums


def choose(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    options: Sequence[str] | Sequence[Sequence[str]],
    *,
    normalize: str = "none",
    content_free: str | None = None,
) -> Choices:
    """Return which option a language model chooses after each prompt, and how surely:
        P(option) = softmax over the options of log p(option | prompt)
                    - log p(option | content_free)

    content_free: the prompt with its content taken out, such as "Review: N/A Verdict:".
    It tells what the model would say whatever it read, a bias that is then divided out
    (Zhao et al. 2021, contextual calibration). None: nothing is subtracted.
    """
    logps = option_logps(model, tokenizer, prompts, options, normalize=normalize)
    if content_free is not None:
        table = option_table(prompts, options)
        same = all(row == table[0] for row in table)
        rows = table[:1] if same else table
        bias = option_logps(
            model, tokenizer, [content_free] * len(rows), rows, normalize=normalize
        )
        logps = logps - bias
    return Choices(logps.argmax(1), logps.softmax(1))


def option_table(
    prompts: Sequence[str], options: Sequence[str] | Sequence[Sequence[str]]
) -> list[list[str]]:
    """Return the options of each prompt, rows of one length, or refuse them."""
    require(
        not isinstance(prompts, str),
        "prompts must be a list of strings; got one string",
    )
    rows = list(options)
    if all(isinstance(option, str) for option in rows):
        rows = [rows] * len(prompts)  # type: ignore[list-item]
    table = [list(row) for row in rows]
    require(
        len(table) == len(prompts) and len({len(row) for row in table}) <= 1,
        "options must be strings, or for each prompt a list of as many strings; got "
        f"{len(table)} lists of {sorted({len(row) for row in table})} options for "
        f"{len(prompts)} prompts",
    )
    require(
        all(row and all(row) for row in table),
        "options must not be empty: nothing would be predicted",
    )
    return table


def _sums(model: Any, encoded: list[EncodedAnswers]) -> Tensor:
    """Return the log-probability of every answer, (prompts, answers)."""
    columns = len(encoded[0].answers)
    read = read_prompts(model, [texts.prompt for texts in encoded])
    firsts = torch.tensor([[ids[0] for ids in texts.answers] for texts in encoded])
    logps = read.logits.double().cpu().log_softmax(1)
    sums = logps.gather(1, firsts)
    for start in range(0, columns, MOST_ROWS):
        some = [texts.answers[start : start + MOST_ROWS] for texts in encoded]
        rows = [ids for answers in some for ids in answers]
        if max(map(len, rows)) > 1:
            rest = _rest_logps(model, read.repeated(len(some[0])), rows)
            sums[:, start : start + MOST_ROWS] += rest.view(len(encoded), -1)
    return sums


def _rest_logps(model: Any, read: Reading, rows: list[list[int]]) -> Tensor:
    """Return the summed log-probability of each row's tokens but the first, (rows,)."""
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)  # padding on the right, behind all that counts
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    device = read.mask.device
    _, logits = read_on(model, read, ids[:, :-1].to(device), mask[:, :-1].to(device))
    sums = torch.zeros(len(rows), dtype=torch.double)
    for i, row in enumerate(rows):  # one by one: in double precision a row is large
        told = logits[i, : len(row) - 1].double().cpu()
        sums[i] = (
            told.gather(1, ids[i, 1 : len(row), None])[:, 0] - told.logsumexp(1)
        ).sum()
    return sums

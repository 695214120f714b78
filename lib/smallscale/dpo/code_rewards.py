"""Is there a reward that is simply true? Code that parses.

A small model continues lines of the standard library's own source, which is on every
machine that has Python: without comments and docstrings, one statement's head or body a
line.
"""

import warnings
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import sem
from tokenizers import ByteLevelBPETokenizer
from torch import Generator, nn

from smallscale.core.syntax import parsed
from smallscale.datasets.source_code import stdlib_modules
from smallscale.dpo.answers import Answers, all_logps, padded_answers
from smallscale.dpo.sampling import sample_completions

NEWLINE = 0  # the token that ends a line, and a completion
# Where a line may stand: alone, or with what it needs before and after it.
CONTEXTS = (
    "\t{}",
    "\tif x: pass\n\t{}\n\t\tpass",  # else, elif, and the head of a block of its own
    "\t{}\n\t\tpass\n\tfinally: pass",  # try
    "\ttry: pass\n\t{}\n\t\tpass",  # except, finally
    "\t{}\n\t\tcase _: pass",  # match
    "\tmatch x:\n\t\t{}\n\t\t\tpass",  # case
    "\t{}\n\tdef f(): pass",  # a decorator
)


def parses(line: str) -> bool:
    """Say whether this one line, without its indentation, is a line of Python.

    All of it is parsed, in a place that fits: the head of a block is given a body, and
    else, except and their like the block they belong to. Nothing else is forgiven.
    Empty text, a comment, more than one line or half of one is no line.

    >>> parses("except ValueError as error:"), parses("if x"), parses("# anything")
    (True, False, False)
    """
    line = line.lstrip("\t")
    if line.strip().splitlines() != [line] or not line.isascii() or line.endswith("\\"):
        return False
    # A comment hides what stands behind it: with one, a bracket more does no harm.
    has_comment = "#" in line and _parses_somewhere(f"{line})")
    return _parses_somewhere(line) and not has_comment


def _parses_somewhere(line: str) -> bool:
    """Say whether Python accepts the line in one of CONTEXTS."""
    with warnings.catch_warnings(action="ignore"):
        for context in CONTEXTS:
            with suppress(SyntaxError, ValueError, MemoryError, RecursionError):
                parsed(f"async def f():\n{context.format(line)}")
                return True
    return False


@cache
def tokenizer(characters: int, vocabulary: int = 512) -> ByteLevelBPETokenizer:
    """Return a byte-pair encoding learnt from `stdlib_modules`.

    Token 0 is the newline, which ends a line.
    """
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        _stdlib_lines(characters),
        vocabulary,
        min_frequency=0,
        show_progress=False,
        special_tokens=["\n"],
    )
    return bpe


@cache
def code_tokens(characters: int, vocabulary: int = 512) -> np.ndarray:
    """Return `stdlib_modules` as one array of tokens, NEWLINE after each line."""
    bpe = tokenizer(characters, vocabulary)
    lines = bpe.encode_batch(_stdlib_lines(characters))
    return np.concatenate([[*line.ids, NEWLINE] for line in lines])


def _stdlib_lines(characters: int) -> list[str]:
    return "\n".join(stdlib_modules(characters)).split("\n")


def code_prompts(
    tokens: np.ndarray, n: int, length: int, *, seed: int = 0
) -> np.ndarray:
    """Return (n, length) stretches of `tokens` that end at the end of a line, so that
    what comes next is a new one."""
    ends = np.flatnonzero(tokens[length - 1 : -1] == NEWLINE) + length
    random = np.random.default_rng(seed)
    starts = random.choice(ends, size=n, replace=n > len(ends)) - length
    return tokens[starts[:, None] + np.arange(length)]


class WrittenLines(NamedTuple):
    """n completions of prompts.

    text: without the newline, and empty where none came. answers: as tokens, with their
    prompts. parsed: (n,) whether each parses. lengths: (n,) in tokens, the newline
    among them.
    """

    text: tuple[str, ...]
    answers: Answers
    parsed: np.ndarray
    lengths: np.ndarray


def write_lines(
    policy: nn.Module,
    prompts: np.ndarray,
    bpe: ByteLevelBPETokenizer,
    *,
    max_new_tokens: int = 24,
    seed: int = 0,
) -> WrittenLines:
    """Draw the next line after each of `prompts` (n, length), at temperature 1."""
    rows = sample_completions(
        policy,
        torch.from_numpy(prompts),
        max_new_tokens=max_new_tokens,
        end_token=NEWLINE,
        generator=Generator().manual_seed(seed),
    )
    text = tuple(bpe.decode(row[:-1]) if row[-1] == NEWLINE else "" for row in rows)
    return WrittenLines(
        text=text,
        answers=padded_answers(prompts.tolist(), rows),
        parsed=np.array([parses(line) for line in text]),
        lengths=np.array([len(row) for row in rows]),
    )


def measure_lines(
    lines: WrittenLines, policy: nn.Module, reference: nn.Module
) -> dict[str, float]:
    """Return what the lines that `policy` wrote are like.

    parse: the share that parses. tokens: their mean length. distinct: the share of
    different texts among all. kl: the mean of log policy - log reference over these
    lines, an estimate of KL(policy || reference). kl_error: its standard error.
    """
    ratio = all_logps(policy, lines.answers) - all_logps(reference, lines.answers)
    ratio_array = ratio.double().numpy()
    measures = {
        "parse": lines.parsed.mean(),
        "tokens": lines.lengths.mean(),
        "distinct": len(set(lines.text)) / len(lines.text),
        "kl": ratio_array.mean(),
        "kl_error": sem(ratio_array),
    }
    return {name: float(value) for name, value in measures.items()}


def code_pairs(
    parsed: Any, lengths: Any, *, slack: int | None, seed: int = 0
) -> np.ndarray:
    """Return (m, 2) positions of completions: one that parses, and then one of the same
    prompt that does not.

    parsed: (prompts, tries) whether each parses. lengths: (prompts, tries) in tokens.
    Positions count row by row.
    slack: by how many tokens the two may differ; None: by any number. A completion is
    in one pair at most, and a prompt gives as many pairs as its completions allow.
    """
    good = np.asarray(parsed, dtype=bool)
    tokens = np.asarray(lengths)
    random = np.random.default_rng(seed)
    tries = good.shape[1]
    most_apart = np.inf if slack is None else slack
    pairs = []
    for row in range(len(good)):
        losers = list(random.permutation(np.flatnonzero(~good[row])))
        for winner in random.permutation(np.flatnonzero(good[row])):
            apart = abs(tokens[row] - tokens[row, winner])  # (tries,)
            near = [loser for loser in losers if apart[loser] <= most_apart]
            if near:
                losers.remove(near[0])
                pairs.append((row * tries + winner, row * tries + near[0]))
    return np.array(pairs, dtype=int).reshape(-1, 2)

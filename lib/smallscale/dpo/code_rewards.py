"""Is there a reward that is simply true? Code that parses: lines of the standard library, continued by a small model.

The corpus is on every machine that has Python: the standard library's own source, without comments and docstrings, one
statement's head or body a line.
"""

import ast
import re
import sysconfig
import warnings
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import sem
from tokenizers import ByteLevelBPETokenizer
from torch import Generator, nn

from smallscale.dpo.policy_training import Answers, all_logps, padded_answers
from smallscale.dpo.sampling import draw

LEFT_OUT = {
    "test",
    "tests",
    "site-packages",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "turtledemo",
    "encodings",
}
LEFT_OUT |= {
    "pydoc_data",
    "distutils",
    "__pycache__",
    "tkinter",
    "turtle.py",
    "_pydecimal.py",
    "this.py",
}
LONGEST = 120  # characters in a line
NEWLINE = 0  # the token that ends a line, and a completion
# Where a line may stand: alone, or with what it needs before and behind it.
PLACES = (
    "\t{}",
    "\tif x: pass\n\t{}\n\t\tpass",  # else, elif, and what heads a block of its own
    "\t{}\n\t\tpass\n\tfinally: pass",  # try
    "\ttry: pass\n\t{}\n\t\tpass",  # except, finally
    "\t{}\n\t\tcase _: pass",  # match
    "\tmatch x:\n\t\t{}\n\t\t\tpass",  # case
    "\t{}\n\tdef f(): pass",  # a decorator
)


@cache
def stdlib_modules(characters: int) -> tuple[str, ...]:
    """Source of the standard library's modules, in an order that stays the same, until there are that many characters.

    Comments, docstrings and blank lines are gone, indentation is one tab a level; lines with other than ASCII or of
    over 120 characters are left out.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    names = [
        file.relative_to(root)
        for file in root.rglob("*.py")
        if not file.name.startswith("_sysconfigdata")
    ]
    modules: list[str] = []
    # By a hash of the name: neither alphabet nor folder decides what is in an excerpt.
    for name in sorted(
        names, key=lambda name: sha256(name.as_posix().encode()).digest()
    ):
        if not LEFT_OUT & set(name.parts) and sum(map(len, modules)) < characters:
            modules.append(_plain(root / name))
    return tuple(filter(None, modules))


def _plain(file: Path) -> str:
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # the library's own deprecated escapes
            tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, OSError):
        return ""
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            kept = [
                s
                for s in body
                if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
            ]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    lines = [
        re.sub("^( {4})+", lambda m: "\t" * (len(m[0]) // 4), line)
        for line in ast.unparse(tree).splitlines()
    ]
    return "\n".join(
        line
        for line in lines
        if line.strip() and line.isascii() and len(line) <= LONGEST
    )


def parses(line: str) -> bool:
    """Is this one line, without its indentation, a line of Python? Strict: all of it is parsed, in a place that fits.

    The head of a block is given a body; else, except and their like the block they belong to. Nothing else is
    forgiven: empty text, a comment, more than one line or half of one is no line.
    """
    line = line.lstrip("\t")
    if line.strip().splitlines() != [line] or not line.isascii() or line.endswith("\\"):
        return False
    # A comment hides whatever stands behind it: were there one, a bracket more would do no harm.
    return _fits(line) and not ("#" in line and _fits(f"{line})"))


def _fits(line: str) -> bool:
    with warnings.catch_warnings(action="ignore"):
        for place in PLACES:
            with suppress(SyntaxError, ValueError, MemoryError, RecursionError):
                ast.parse(f"async def f():\n{place.format(line)}")
                return True
    return False


@cache
def tokenizer(characters: int, vocabulary: int = 512) -> ByteLevelBPETokenizer:
    """Byte-pair encoding learnt from `stdlib_modules`; token 0 is the newline, and ends a line."""
    bpe, lines = (
        ByteLevelBPETokenizer(),
        "\n".join(stdlib_modules(characters)).split("\n"),
    )
    bpe.train_from_iterator(
        lines, vocabulary, min_frequency=0, show_progress=False, special_tokens=["\n"]
    )
    return bpe


@cache
def code_tokens(characters: int, vocabulary: int = 512) -> np.ndarray:
    """All of `stdlib_modules` as one array of tokens, each line followed by NEWLINE."""
    lines = "\n".join(stdlib_modules(characters)).split("\n")
    return np.concatenate(
        [
            [*line.ids, NEWLINE]
            for line in tokenizer(characters, vocabulary).encode_batch(lines)
        ]
    )


def code_prompts(
    tokens: np.ndarray, n: int, length: int, *, seed: int = 0
) -> np.ndarray:
    """(n, length) stretches of `tokens` that end at the end of a line: what comes next is a new one."""
    ends = np.flatnonzero(tokens[length - 1 : -1] == NEWLINE) + length
    starts = (
        np.random.default_rng(seed).choice(ends, size=n, replace=n > len(ends)) - length
    )
    return tokens[starts[:, None] + np.arange(length)]


class Lines(NamedTuple):
    """n completions of prompts. text: without the newline, empty where none came; answers: as tokens, with prompts.

    good: (n,) whether each parses; lengths: (n,) in tokens, the newline among them.
    """

    text: tuple[str, ...]
    answers: Answers
    good: np.ndarray
    lengths: np.ndarray


def write_lines(
    policy: nn.Module,
    prompts: np.ndarray,
    bpe: ByteLevelBPETokenizer,
    *,
    most: int = 24,
    seed: int = 0,
) -> Lines:
    """The next line after each of `prompts` (n, length), drawn at temperature 1, at most `most` tokens."""
    generator = Generator().manual_seed(seed)
    rows = draw(
        policy, torch.from_numpy(prompts), most=most, end=NEWLINE, generator=generator
    )
    text = tuple(bpe.decode(row[:-1]) if row[-1] == NEWLINE else "" for row in rows)
    good, lengths = (
        np.array([parses(line) for line in text]),
        np.array([len(row) for row in rows]),
    )
    return Lines(text, padded_answers(prompts.tolist(), rows), good, lengths)


def measure_lines(
    lines: Lines, policy: nn.Module, reference: nn.Module
) -> dict[str, float]:
    """parse: the share that does; tokens: their mean length; distinct: the share of different texts among all.

    kl: the mean of log policy - log reference over these lines, which must be the policy's own; kl_error: its standard
    error.
    """
    gain = (
        (all_logps(policy, lines.answers) - all_logps(reference, lines.answers))
        .double()
        .numpy()
    )
    found = {"parse": lines.good.mean(), "tokens": lines.lengths.mean()}
    found |= {
        "distinct": len(set(lines.text)) / len(lines.text),
        "kl": gain.mean(),
        "kl_error": sem(gain),
    }
    return {name: float(value) for name, value in found.items()}


def code_pairs(
    good: Any, lengths: Any, *, slack: int | None, seed: int = 0
) -> np.ndarray:
    """(m, 2) positions of completions, one that parses first, then one of the same prompt that does not.

    good: (prompts, tries) whether each parses; lengths: (prompts, tries) in tokens. Positions count row by row.
    slack: by how many tokens the two may differ; None: by any. A completion is in one pair at most; a prompt gives as
    many pairs as its completions allow.
    """
    good, lengths = np.asarray(good, dtype=bool), np.asarray(lengths)
    random, tries, pairs = np.random.default_rng(seed), good.shape[1], []
    for row in range(len(good)):
        left = list(random.permutation(np.flatnonzero(~good[row])))
        for win in random.permutation(np.flatnonzero(good[row])):
            near = [
                k
                for k in left
                if slack is None or abs(lengths[row, k] - lengths[row, win]) <= slack
            ]
            if near:
                left.remove(near[0])
                pairs.append((row * tries + win, row * tries + near[0]))
    return np.array(pairs, dtype=int).reshape(-1, 2)

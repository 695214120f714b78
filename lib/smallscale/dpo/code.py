"""Is there a reward that is simply true? Code that parses: lines of the standard library, continued by a small model.

The corpus is on every machine that has Python: the standard library's own source, without comments and docstrings, one
statement's head or body a line.
"""

import ast
import re
import sysconfig
import tokenize
import warnings
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Generator, nn

from smallscale.dpo.sampling import draw
from smallscale.dpo.training import Answers, all_logps, padded_answers

LEFT_OUT = {"test", "tests", "site-packages", "idlelib", "lib2to3", "ensurepip", "turtledemo", "encodings"}
LEFT_OUT |= {"pydoc_data", "distutils", "__pycache__", "tkinter", "turtle.py", "_pydecimal.py", "this.py"}
LONGEST = 120  # characters in a line
NEWLINE = 0  # the token that ends a line, and a completion
HEAD = re.compile(r"(if|for|while|with|try|def|class|async|match|else|elif|except|finally|case)(?!\w)|@")


@cache
def stdlib_modules(characters: int) -> tuple[str, ...]:
    """Source of the standard library's modules, in an order that stays the same, until there are that many characters.

    Comments, docstrings and blank lines are gone, indentation is one tab a level; lines with other than ASCII or of
    over 120 characters are left out.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [f for f in root.rglob("*.py") if not (LEFT_OUT & set(f.relative_to(root).parts))]
    files = [f for f in files if not f.name.startswith("_sysconfigdata")]
    # By a hash of the name: neither alphabet nor folder decides what is in an excerpt.
    files.sort(key=lambda f: sha256(f.relative_to(root).as_posix().encode()).digest())
    modules: list[str] = []
    while files and sum(map(len, modules)) < characters:
        modules.append(_plain(files.pop(0)))
    return tuple(filter(None, modules))


def _plain(file: Path) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's own deprecated escapes
            tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, OSError):
        return ""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    lines = ast.unparse(tree).splitlines()
    lines = [re.sub("^( {4})+", lambda m: "\t" * (len(m[0]) // 4), line) for line in lines]
    return "\n".join(line for line in lines if line.strip() and line.isascii() and len(line) <= LONGEST)


def parses(line: str) -> bool:
    """Is this one line, without its indentation, a line of Python? Strict: all of it is parsed, in a place that fits.

    The head of a block is given a body; else, except and their like the block they belong to. Nothing else is
    forgiven: empty text, a comment alone, or more than one line is no line.
    """
    line = line.lstrip("\t")
    if not line.strip() or line != line.strip() or not line.isascii() or len(line.splitlines()) != 1:
        return False
    word = HEAD.match(line)
    inside = f"\t{line}"
    match word and word[0]:
        case "@":
            inside += "\n\tdef f(): pass"
        case "elif" | "else":
            inside = f"\tif x: pass\n{inside}\n\t\tpass"
        case "except" | "finally":
            inside = f"\ttry: pass\n{inside}\n\t\tpass"
        case "case":
            inside = f"\tmatch x:\n\t{inside}\n\t\t\tpass"
        case "try":
            inside += "\n\t\tpass\n\tfinally: pass"
        case "match":
            inside += "\n\t\tcase _: pass" if line.endswith(":") else ""
        case str() if line.endswith(":"):
            inside += "\n\t\tpass"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(f"async def f():\n{inside}")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return not _comment(line)


def _comment(line: str) -> bool:
    """Does a comment hide something? Whatever stands behind it would parse."""
    try:
        return any(token.type == tokenize.COMMENT for token in tokenize.generate_tokens(StringIO(line).readline))
    except (tokenize.TokenError, IndentationError):
        return "#" in line


@cache
def tokenizer(characters: int, vocabulary: int = 512) -> Tokenizer:
    """Byte-pair encoding learnt from `stdlib_modules`; token 0 is the newline, and ends a line."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["\n"], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator((line for text in stdlib_modules(characters) for line in text.split("\n")), trainer)
    return bpe


@cache
def code_tokens(characters: int, vocabulary: int = 512) -> np.ndarray:
    """All of `stdlib_modules` as one array of tokens, each line followed by NEWLINE."""
    lines = [line for text in stdlib_modules(characters) for line in text.split("\n")]
    encoded = tokenizer(characters, vocabulary).encode_batch_fast(lines)
    return np.concatenate([[*line.ids, NEWLINE] for line in encoded])


def code_prompts(tokens: np.ndarray, n: int, length: int, *, seed: int = 0) -> np.ndarray:
    """(n, length) stretches of `tokens` that end at the end of a line: what comes next is a new one."""
    ends = np.flatnonzero(tokens[length - 1 : -1] == NEWLINE) + length
    starts = np.random.default_rng(seed).choice(ends, size=n, replace=n > len(ends)) - length
    return tokens[starts[:, None] + np.arange(length)]


@dataclass(frozen=True)
class Lines:
    """n completions of prompts. text: without the newline, empty where none came; answers: as tokens, with prompts.

    good: (n,) whether each parses; lengths: (n,) in tokens, the newline among them.
    """

    text: tuple[str, ...]
    answers: Answers
    good: np.ndarray
    lengths: np.ndarray


def write_lines(policy: nn.Module, prompts: np.ndarray, bpe: Tokenizer, *, most: int = 24, seed: int = 0) -> Lines:
    """The next line after each of `prompts` (n, length), drawn at temperature 1, at most `most` tokens."""
    generator = Generator().manual_seed(seed)
    rows = draw(policy, torch.from_numpy(prompts), most=most, end=NEWLINE, generator=generator)
    text = tuple(bpe.decode(row[:-1]) if row[-1] == NEWLINE else "" for row in rows)
    good, lengths = np.array([parses(line) for line in text]), np.array([len(row) for row in rows])
    return Lines(text, padded_answers(prompts.tolist(), rows), good, lengths)


def measure_lines(lines: Lines, policy: nn.Module, reference: nn.Module) -> dict[str, float]:
    """parse: the share that does; tokens: their mean length; distinct: the share of different texts among all.

    kl: the mean of log policy - log reference over these lines, which must be the policy's own; kl_error: its standard
    error.
    """
    gain = (all_logps(policy, lines.answers) - all_logps(reference, lines.answers)).double()
    return {
        "parse": float(lines.good.mean()),
        "tokens": float(lines.lengths.mean()),
        "distinct": len(set(lines.text)) / len(lines.text),
        "kl": float(gain.mean()),
        "kl_error": float(gain.std() / len(gain) ** 0.5),
    }


def code_pairs(good: Any, lengths: Any, *, slack: int | None, seed: int = 0) -> np.ndarray:
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
            near = [k for k in left if slack is None or abs(lengths[row, k] - lengths[row, win]) <= slack]
            if near:
                left.remove(near[0])
                pairs.append((row * tries + win, row * tries + near[0]))
    return np.array(pairs, dtype=int).reshape(-1, 2)

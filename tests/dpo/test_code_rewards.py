"""Does the checker accept Python and nothing else, and are pairs matched as asked?"""

import math

import numpy as np
import pytest
import torch

from smallscale.datasets.source_code import stdlib_modules
from smallscale.dpo import all_logps
from smallscale.dpo.code_rewards import (
    NEWLINE,
    code_pairs,
    code_prompts,
    code_tokens,
    measure_lines,
    parses,
    tokenizer,
    write_lines,
)
from smallscale.dpo.policies import small_policy

SIZE = 60_000  # characters


SIMPLE = (
    "x = 1",
    "return x",
    "\t\tself.y += f(a, *b)",
    "pass",
    "break",
    "yield",
    "await g()",
    "import os",
    "lambda: 0",
)
HEADS = (
    "if x:",
    "else:",
    "elif a == 1:",
    "for i in range(3):",
    "while True:",
    "try:",
    "finally:",
    "except (A, B) as e:",
)
MORE = (
    "with open(p) as f:",
    "def f(self, *, a=1) -> int:",
    "class A(B):",
    "async def f():",
    "@property",
    "match x:",
)
ODD = (
    "case [1, *_]:",
    "match = 3",
    "case",
    "x = [i for i in y]",
    "raise ValueError(f'#{x}')",
    "y = '#'",
    "if x: pass",
)


@pytest.mark.parametrize("line", [*SIMPLE, *HEADS, *MORE, *ODD])
def test_lines_of_python_parse(line: str) -> None:
    assert parses(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\t",
        "  ",
        "x =",
        "if x",
        "else",
        "def f(",
        "return return",
        "for x:",
        "except:junk here",
        "(",
        "'",
        "# a comment hides anything",
        "x = 1  # hidden ) junk",
        "pass\njunk junk",
        "pass\n",
        "x = 1\r",
        "é = 1",
        "pass\n\tpass",
        "pass\npass",
        "if x: y z",
        "class",
        "def",
        "x = 1 y",
        " x",
        "return self)",
        "a\x0cb c",
        "@",
        "else: pass else",
        "if x: \\",
        "x = 1; \\",
    ],
)
def test_nothing_else_does(line: str) -> None:
    assert not parses(line)


def test_the_library_itself_parses_line_by_line() -> None:
    """Each line alone, in a place that fits: what does not is the middle of a text of
    several lines, or fewer."""
    lines = [line for text in stdlib_modules(SIZE) for line in text.split("\n")]
    assert len(lines) > 1000
    assert np.mean([parses(line) for line in lines]) > 0.98
    spoilt = [
        line[: len(line) // 2] + ")" + line[len(line) // 2 :]
        for line in lines
        if not set(line) & set("'\"")
    ]
    assert not any(parses(line) for line in spoilt)


def test_tokens_are_the_text_and_prompts_end_a_line() -> None:
    tokens = code_tokens(SIZE)
    bpe = tokenizer(SIZE)
    text = "".join(
        "\n" if t == NEWLINE else bpe.decode([t]) for t in tokens[:500].tolist()
    )
    assert "\n".join(stdlib_modules(SIZE)).startswith(text[: text.rindex("\n")])
    assert (tokens == NEWLINE).sum() == sum(
        module.count("\n") + 1 for module in stdlib_modules(SIZE)
    )
    prompts = code_prompts(tokens, 40, 12, seed=1)
    assert prompts.shape == (40, 12)
    assert (prompts[:, -1] == NEWLINE).all()
    assert (prompts == code_prompts(tokens, 40, 12, seed=1)).all()
    assert not (prompts == code_prompts(tokens, 40, 12, seed=2)).all()


def test_pairs_by_hand() -> None:
    good = [[True, False, False, True], [False, False, False, False]]
    lengths = [[5, 9, 6, 30], [1, 2, 3, 4]]
    assert code_pairs(good, lengths, slack=1).tolist() == [
        [0, 2]
    ]  # 5 against 6; nothing is near 30
    loose = code_pairs(good, lengths, slack=None).tolist()
    assert sorted(a for a, _ in loose) == [0, 3]
    assert sorted(b for _, b in loose) == [1, 2]
    assert code_pairs([[True, True]], [[3, 3]], slack=None).shape == (0, 2)


def test_matched_pairs_stay_near_and_within_their_prompt() -> None:
    random = np.random.default_rng(0)
    good = random.random((50, 6)) < 0.4
    lengths = random.integers(1, 30, (50, 6))
    pairs = code_pairs(good, lengths, slack=2)
    assert len(pairs) > 20
    assert (abs(lengths.ravel()[pairs[:, 0]] - lengths.ravel()[pairs[:, 1]]) <= 2).all()
    assert (pairs[:, 0] // 6 == pairs[:, 1] // 6).all()
    assert good.ravel()[pairs[:, 0]].all()
    assert not good.ravel()[pairs[:, 1]].any()
    assert len(set(pairs.ravel().tolist())) == pairs.size


def test_lines_are_the_models_and_measured_as_they_are() -> None:
    bpe = tokenizer(SIZE)
    prompts = code_prompts(code_tokens(SIZE), 30, 8)
    model = small_policy(512, length=32, width=16)
    other = small_policy(512, length=32, width=16, seed=1)
    with torch.no_grad():
        model.lm_head.weight[NEWLINE] += (
            1  # an untrained model would hardly ever end a line
        )
    lines = write_lines(model, prompts, bpe, max_new_tokens=10)
    assert lines.text == write_lines(model, prompts, bpe, max_new_tokens=10).text
    assert len(lines.text) == len(lines.parsed) == len(lines.answers) == 30
    assert lines.parsed.tolist() == [parses(line) for line in lines.text]
    for line, length, labels in zip(
        lines.text, lines.lengths, lines.answers.labels, strict=True
    ):
        written = labels[labels >= 0].tolist()
        assert len(written) == length <= 10
        assert line == (bpe.decode(written[:-1]) if written[-1] == NEWLINE else "")
    same, apart = (
        measure_lines(lines, model, reference) for reference in (model, other)
    )
    assert same["kl"] == 0
    gain = (
        (all_logps(model, lines.answers) - all_logps(other, lines.answers))
        .double()
        .numpy()
    )
    assert apart["kl"] == pytest.approx(gain.mean())
    assert apart["kl"] > 0
    assert apart["kl_error"] == pytest.approx(gain.std(ddof=1) / 30**0.5)
    assert math.isclose(same["tokens"], lines.lengths.mean())
    assert same["distinct"] == len(set(lines.text)) / 30

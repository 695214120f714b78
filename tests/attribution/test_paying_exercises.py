"""Do the checks accept what is right, and say of each common mistake what it is?"""

from typing import Any

import numpy as np
import pytest

from smallscale.attribution.exercises import NOT_YET, check_banzhaf, check_rule
from smallscale.attribution.markets.games import banzhaf_of, shapley_of
from smallscale.attribution.markets.market import Sales, Texts
from smallscale.attribution.markets.ngram_model import train_tokenizer

LINES = [
    f"{a} = {b}({c})\n"
    for a in ("x", "y", "total")
    for b in ("len", "sum", "max")
    for c in ("rows", "names", "x")
]
TEXTS = {
    f"a{i}": {
        f"{k}": "".join(np.random.default_rng(9 * i + k).choice(LINES, 60))
        for k in range(4)
    }
    for i in range(3)
}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda t: None, NOT_YET),
        (banzhaf_of, "Right"),
        (shapley_of, "Shapley's value"),
        (lambda t: -banzhaf_of(t), "sign is wrong"),
        (lambda t: 4 * banzhaf_of(t), "The sum is right"),
        (lambda t: banzhaf_of(t) / 2, "half of all"),
        (lambda t: banzhaf_of(t) / banzhaf_of(t).sum(), "sum to 1"),
        (lambda t: banzhaf_of(t) + 1, "values differ"),
        (lambda t: t, "3 values"),
    ],
)
def test_banzhaf(rule: Any, words: str) -> None:
    assert words in check_banzhaf(rule)


def test_rule() -> None:
    tokenizer = train_tokenizer([t for d in TEXTS.values() for t in d.values()], 280)
    windows = np.stack(
        [tokenizer.encode("".join(LINES)).ids[12 * k : 12 * k + 16] for k in range(6)]
    )
    sales = Sales(tokenizer, windows, 6)

    def by(name: str) -> Any:
        return lambda sales, texts: sales.values(texts)[name]

    def even(sales: Sales, texts: Texts) -> np.ndarray:
        return np.ones(len(texts))

    limits = {"most": 1.05, "far": 2.0}
    assert (
        check_rule(lambda sales, texts: None, sales, TEXTS, "a0", **limits) == NOT_YET
    )
    assert "Cloning pays: 3 names multiply the attacker's share by 1.80" in check_rule(
        even, sales, TEXTS, "a0", **limits
    )
    assert "Right" in check_rule(by("diagonal"), sales, TEXTS, "a0", **limits)
    assert "0.00 is allowed" in check_rule(
        by("diagonal"), sales, TEXTS, "a0", most=1.05, far=0.0
    )
    assert "3 finite numbers" in check_rule(
        lambda sales, texts: [1.0], sales, TEXTS, "a0", **limits
    )

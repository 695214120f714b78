"""Do the checks accept what is right, and say of each common mistake what it is?"""

from typing import Any

import numpy as np
import pytest

from smallscale.attribution.markets.exercises import check_banzhaf, check_rule
from smallscale.attribution.markets.games import banzhaf_of, shapley_of
from smallscale.attribution.markets.market import Texts
from smallscale.attribution.markets.ngram_model import train_tokenizer
from smallscale.attribution.markets.valuation import ValuationModel
from smallscale.notebook.exercises import NOT_YET

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
    valuation = ValuationModel(tokenizer, windows, 6)

    def by(name: str) -> Any:
        return lambda valuation, texts: valuation.values(texts)[name]

    def even(valuation: ValuationModel, texts: Texts) -> np.ndarray:
        return np.ones(len(texts))

    limits = {"largest_gain": 1.05, "largest_distance": 2.0}
    assert (
        check_rule(lambda valuation, texts: None, valuation, TEXTS, "a0", **limits)
        == NOT_YET
    )
    assert "Cloning pays: 3 names multiply the attacker's share by 1.80" in check_rule(
        even, valuation, TEXTS, "a0", **limits
    )
    assert "Right" in check_rule(by("diagonal"), valuation, TEXTS, "a0", **limits)
    assert "0.00 is allowed" in check_rule(
        by("diagonal"), valuation, TEXTS, "a0", largest_gain=1.05, largest_distance=0.0
    )
    assert "3 finite numbers" in check_rule(
        lambda valuation, texts: [1.0], valuation, TEXTS, "a0", **limits
    )

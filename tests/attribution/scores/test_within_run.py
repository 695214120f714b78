"""Does a run that is straight in its images' weights have a derivative that holds?"""

from dataclasses import replace

import pytest

from smallscale.attribution.scores.within_run import within_run
from tests.attribution.scores.small_problems import (
    CONFIG,
    cross_entropy,
    examples,
    network,
)


def test_a_slow_run_is_straight_and_its_metagradient_foresees_it() -> None:
    run = replace(CONFIG, epochs=1, lr=1e-3)
    found = within_run(
        network(),
        cross_entropy,
        examples(),
        examples(4, seed=9),
        run,
        shares=(0.2, 0.5),
        draws=12,
        damping=0.1,
    )
    assert found.smoothness > 0.999
    assert list(found.lds.columns) == ["method", "dropped", "LDS"]
    assert len(found.lds) == 4
    exact = found.lds[found.lds.method == "metagradient"]
    assert exact.LDS.min() > 0.99


def test_no_share_is_refused() -> None:
    given = (network(), cross_entropy, examples(), examples(4, seed=9), CONFIG)
    with pytest.raises(ValueError, match="shares must hold at least one"):
        within_run(*given, shares=(), draws=2)

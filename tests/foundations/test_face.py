"""Are the optimizers of the theme the ones that `training` offers by name?"""

from smallscale import foundations
from smallscale.training.optimizers import OPTIMIZERS


def test_one_optimizer_has_one_implementation() -> None:
    taught = {getattr(foundations, name) for name in foundations.__all__}
    assert taught == set(OPTIMIZERS.values()) - {OPTIMIZERS["sgd"]}
    assert OPTIMIZERS["sophiag"] is foundations.SophiaG

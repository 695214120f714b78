"""What do foundation models stand on? The optimizers that train them.

They live a floor down, in `training`, where every theme has them by name.
"""

from smallscale.training.update_rules import Adam, AdamW, AMSGrad, Muon, SophiaG

__all__ = ["AMSGrad", "Adam", "AdamW", "Muon", "SophiaG"]

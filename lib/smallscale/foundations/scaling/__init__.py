"""What does a ladder of small models say about a larger one? Power laws of the loss."""

from smallscale.foundations.scaling.ladder import rung
from smallscale.foundations.scaling.power_law import (
    PowerLaw,
    backtest,
    bootstrap,
    fit_power_law,
    log_loss,
)

__all__ = [
    "PowerLaw",
    "backtest",
    "bootstrap",
    "fit_power_law",
    "log_loss",
    "rung",
]

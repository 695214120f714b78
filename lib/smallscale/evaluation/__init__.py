"""Who is better, and how surely? Measures that a neutral third party would use."""

from smallscale.evaluation.calibration import expected_calibration_error
from smallscale.evaluation.win_rates import mean_win_rate
from smallscale.training.time_to_quality import olympic_mean

__all__ = ["expected_calibration_error", "mean_win_rate", "olympic_mean"]

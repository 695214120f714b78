"""How models are trained and judged: the loop, optimizers by name, evaluation, group losses."""

from smallscale.training.evaluation import Model, accuracy, correct, predict_logits
from smallscale.training.loop import minimise, train_classifier

__all__ = [
    "Model",
    "accuracy",
    "correct",
    "minimise",
    "predict_logits",
    "train_classifier",
]

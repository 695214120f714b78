"""How is a model trained and judged? The loop, optimizers by name, evaluation."""

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

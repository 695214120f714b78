"""How is a model trained and judged? The loop, optimizers by name, evaluation."""

from smallscale.training.evaluation import Model, accuracy, correct, predict_logits
from smallscale.training.loop import minimise, train_classifier
from smallscale.training.time_to_quality import olympic_mean

__all__ = [
    "Model",
    "accuracy",
    "correct",
    "minimise",
    "olympic_mean",
    "predict_logits",
    "train_classifier",
]

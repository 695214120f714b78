"""Can a model learn a task from its prompt alone?

Transformers trained on fresh functions, a real language model asked in words, and
copying, the smallest thing that can be learnt so.
"""

from smallscale.foundations.in_context.baselines import (
    LEARNERS,
    averaging,
    lasso,
    least_squares,
    nearest_neighbours,
)
from smallscale.foundations.in_context.copying import (
    copying_gain,
    copying_loss,
    repeated_tokens,
    train_copier,
)
from smallscale.foundations.in_context.functions import (
    SHIFTS,
    Prompts,
    draw_prompts,
    half_way,
    relative_error,
    share_solved,
)
from smallscale.foundations.in_context.prompts import (
    RECORDED,
    draw_questions,
    labels_table,
    prompt_of,
    shots_table,
)
from smallscale.foundations.in_context.regressor import (
    InContextRegressor,
    train_regressor,
)

__all__ = [
    "LEARNERS",
    "RECORDED",
    "SHIFTS",
    "InContextRegressor",
    "Prompts",
    "averaging",
    "copying_gain",
    "copying_loss",
    "draw_prompts",
    "draw_questions",
    "half_way",
    "labels_table",
    "lasso",
    "least_squares",
    "nearest_neighbours",
    "prompt_of",
    "relative_error",
    "repeated_tokens",
    "share_solved",
    "shots_table",
    "train_copier",
    "train_regressor",
]

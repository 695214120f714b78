"""Which models do several themes share?

Small classifiers, one small transformer, and a real language model with what it takes
to let it write, to ask how likely it finds an answer, and to keep what it said.
"""

from smallscale.models.classifiers import small_cnn, small_mlp
from smallscale.models.generation import chat_prompt, write
from smallscale.models.language_model import LanguageModel, language_model
from smallscale.models.options import choose, option_logps
from smallscale.models.recorded import NotRecorded, RecordedModel
from smallscale.models.smollm2 import ModelMissing
from smallscale.models.transformer import small_transformer

__all__ = [
    "LanguageModel",
    "ModelMissing",
    "NotRecorded",
    "RecordedModel",
    "chat_prompt",
    "choose",
    "language_model",
    "option_logps",
    "small_cnn",
    "small_mlp",
    "small_transformer",
    "write",
]

"""Which models do several themes share? Small classifiers and one small transformer."""

from smallscale.models.classifiers import small_cnn, small_mlp
from smallscale.models.transformer import small_transformer

__all__ = ["small_cnn", "small_mlp", "small_transformer"]

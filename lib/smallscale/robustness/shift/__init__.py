"""Whom does a model fail when the data shift? Corruptions, groups, worst-group training."""

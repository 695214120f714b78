"""Whom does a model fail when the data shift? Corruptions and groups."""
